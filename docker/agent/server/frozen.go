package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/docker/docker/api/types/container"
)

// frozenFile is in a server's directory as long as the agent has its processes frozen for a moment.
const frozenFile = "frozen"

// How often servers are looked for that were left frozen, and how long one of them may keep the others waiting.
const (
	thawEvery = 5 * time.Second
	thawLimit = 10 * time.Second
)

func (s *Server) frozenMark(uuid string) string { return filepath.Join(s.serverDir(uuid), frozenFile) }

// whileFrozen does something to the files of a container while none of its processes runs, so that none can change a
// file between a look at it and its use. It is written down before: for an agent that is killed meanwhile, and for a
// Docker that does not let them run again at once.
func (s *Server) whileFrozen(ctx context.Context, found container.InspectResponse, do func() error) error {
	if !found.State.Running || found.State.Paused {
		return do()
	}
	mark := s.frozenMark(found.Config.Labels[labelServer])
	if err := os.MkdirAll(filepath.Dir(mark), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return err
	}
	err := s.docker.ContainerPause(ctx, found.ID)
	if err != nil {
		err = fmt.Errorf("freeze the server's processes while its files are written: %w", err)
	} else {
		err = do()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quick) // also when the request is over
	defer cancel()
	return errors.Join(err, s.unfreeze(ctx, found.ID, mark))
}

// unfreeze finds it fine if the container is not paused any more.
func (s *Server) unfreeze(ctx context.Context, id, mark string) error {
	found, err := s.docker.ContainerInspect(ctx, id)
	if err == nil && found.State.Paused {
		err = s.docker.ContainerUnpause(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("let the server's processes run again: %w", err)
	}
	return os.Remove(mark)
}

// isMarked tells whether a server's processes are frozen by the agent.
func (s *Server) isMarked(uuid string) bool {
	_, err := os.Stat(s.frozenMark(uuid))
	return err == nil
}

// unmark is for a verb that decides itself whether a server's processes run.
func (s *Server) unmark(uuid string) error {
	if err := os.Remove(s.frozenMark(uuid)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("note that the server is no longer frozen by the agent: %w", err)
	}
	return nil
}

// keepThawed lets servers run again that were left frozen, until the context ends.
func (s *Server) keepThawed(ctx context.Context) {
	tick := time.NewTicker(thawEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		s.thawLeftovers(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// thawLeftovers lets those servers run again that were left frozen: by an agent that was killed, or because Docker failed.
func (s *Server) thawLeftovers(ctx context.Context) {
	marks, err := filepath.Glob(filepath.Join(s.state, "*", frozenFile))
	if err != nil {
		s.log.Error("servers that were left frozen cannot be looked for", "reason", err)
	}
	for _, mark := range marks {
		if err := s.thawLeftover(ctx, filepath.Base(filepath.Dir(mark)), mark); err != nil && ctx.Err() == nil {
			s.log.Error("a server was left frozen while the agent wrote to its files, and stays so until the next attempt", "mark", mark, "reason", err)
		}
	}
}

// thawLeftover leaves a server alone that a verb is at: it may be the one that has frozen it.
func (s *Server) thawLeftover(ctx context.Context, uuid, mark string) error {
	release, free := s.servers.try(uuid)
	if !free {
		return nil
	}
	defer release()
	if _, err := os.Stat(mark); errors.Is(err, os.ErrNotExist) { // a verb was at it
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, thawLimit)
	defer cancel()
	found, err := s.find(ctx, uuid)
	if absent(err) {
		return os.Remove(mark)
	}
	if err != nil {
		return err
	}
	return s.unfreeze(ctx, found.ID, mark)
}
