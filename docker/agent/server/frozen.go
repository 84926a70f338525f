package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/docker/docker/api/types/container"
)

// frozenFile is in a server's directory as long as the agent has its processes frozen for a moment.
const frozenFile = "frozen"

// whileFrozen does something to the files of a container while none of its processes runs, so that none can change a
// file between a look at it and its use. It is written down before, for an agent that is killed meanwhile.
func (s *Server) whileFrozen(ctx context.Context, found container.InspectResponse, do func() error) error {
	if !found.State.Running || found.State.Paused {
		return do()
	}
	mark := filepath.Join(s.serverDir(found.Config.Labels[labelServer]), frozenFile)
	if err := os.MkdirAll(filepath.Dir(mark), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return err
	}
	if err := s.docker.ContainerPause(ctx, found.ID); err != nil {
		return errors.Join(fmt.Errorf("freeze the server's processes while its files are written: %w", err), s.unfreeze(ctx, found.ID, mark))
	}
	return errors.Join(do(), s.unfreeze(ctx, found.ID, mark))
}

// unfreeze runs also when the request is over. A container that is not paused any more is fine.
func (s *Server) unfreeze(ctx context.Context, id, mark string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quick)
	defer cancel()
	found, err := s.docker.ContainerInspect(ctx, id)
	if err == nil && found.State.Paused {
		err = s.docker.ContainerUnpause(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("let the server's processes run again: %w", err)
	}
	return os.Remove(mark)
}

// thawLeftovers lets those servers run again that an agent left frozen which was killed.
func (s *Server) thawLeftovers(ctx context.Context) {
	marks, err := filepath.Glob(filepath.Join(s.state, "*", frozenFile))
	if err != nil {
		s.log.Error("servers that were left frozen cannot be looked for", "reason", err)
	}
	for _, mark := range marks {
		if err := s.thawLeftover(ctx, filepath.Base(filepath.Dir(mark)), mark); err != nil {
			s.log.Error("a server was left frozen by an agent that was killed, and stays so", "mark", mark, "reason", err)
		}
	}
}

func (s *Server) thawLeftover(ctx context.Context, uuid, mark string) error {
	release, err := s.servers.acquire(ctx, uuid)
	if err != nil {
		return err
	}
	defer release()
	if _, err := os.Stat(mark); errors.Is(err, os.ErrNotExist) { // a verb was at it
		return nil
	}
	found, err := s.find(ctx, uuid)
	if absent(err) {
		return os.Remove(mark)
	}
	if err != nil {
		return err
	}
	return s.unfreeze(ctx, found.ID, mark)
}
