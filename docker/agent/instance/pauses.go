package instance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/engine"
)

// pauseFile is in a server's directory as long as the agent itself has its processes paused.
const pauseFile = "frozen"

// How often servers are looked for that were left paused, and how long one of them may keep the others waiting.
const (
	resumeEvery = 5 * time.Second
	resumeLimit = 10 * time.Second
)

// Pauses are those that the agent makes for itself, to work with the files of a server that runs.
type Pauses struct {
	engine     engine.Containers
	containers *Containers
	verbs      *verbs
	dirs       directories
	log        *slog.Logger
}

func (p *Pauses) mark(uuid string) string { return filepath.Join(p.dirs.of(uuid), pauseFile) }

// whilePaused calls do while none of a container's processes runs, so that none can change a file between a check of it and
// its use. The pause is recorded before: for an agent that is killed meanwhile, and for a Docker that does not unpause the
// container at once.
func (p *Pauses) whilePaused(ctx context.Context, found container.InspectResponse, do func() error) error {
	if !found.State.Running || found.State.Paused {
		return do()
	}
	mark := p.mark(serverOf(found))
	if err := os.MkdirAll(filepath.Dir(mark), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return err
	}
	err := p.engine.ContainerPause(ctx, found.ID)
	if err != nil {
		err = fmt.Errorf("pause the server's processes: %w", err)
	} else {
		err = do()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), agent.ShortTimeout) // also when the request is over
	defer cancel()
	return errors.Join(err, p.resume(ctx, found.ID, mark))
}

// resume unpauses a container, if it is still paused, and removes the mark.
func (p *Pauses) resume(ctx context.Context, id, mark string) error {
	found, err := p.engine.ContainerInspect(ctx, id)
	if err == nil && found.State.Paused {
		err = p.engine.ContainerUnpause(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("resume the server's processes: %w", err)
	}
	return os.Remove(mark)
}

// isMarked tells whether a server's processes are paused by the agent.
func (p *Pauses) isMarked(uuid string) bool {
	_, err := os.Stat(p.mark(uuid))
	return err == nil
}

// unmark is for a verb that decides itself whether a server's processes run.
func (p *Pauses) unmark(uuid string) error {
	if err := os.Remove(p.mark(uuid)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("note that the server is no longer paused by the agent: %w", err)
	}
	return nil
}

// Run resumes servers that were left paused, until the context ends.
func (p *Pauses) Run(ctx context.Context) {
	tick := time.NewTicker(resumeEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		p.resumeAll(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// resumeAll resumes the servers that were left paused: by an agent that was killed, or because Docker failed.
func (p *Pauses) resumeAll(ctx context.Context) {
	marks, err := filepath.Glob(filepath.Join(p.dirs.root, "*", pauseFile))
	if err != nil {
		p.log.Error("servers that were left paused cannot be looked for", "reason", err)
	}
	for _, mark := range marks {
		if err := p.resumeLeft(ctx, filepath.Base(filepath.Dir(mark)), mark); err != nil && ctx.Err() == nil {
			p.log.Error("a server was left paused while the agent worked with its files, and stays so until the next attempt", "mark", mark, "reason", err)
		}
	}
}

// resumeLeft leaves a server alone that a verb is at: the verb may have paused it.
func (p *Pauses) resumeLeft(ctx context.Context, uuid, mark string) error {
	release, free := p.verbs.locks.Try(uuid)
	if !free {
		return nil
	}
	defer release()
	if _, err := os.Stat(mark); errors.Is(err, os.ErrNotExist) { // a verb was at it
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, resumeLimit)
	defer cancel()
	found, err := p.containers.Find(ctx, uuid)
	if absent(err) {
		return os.Remove(mark)
	}
	if err != nil {
		return err
	}
	return p.resume(ctx, found.ID, mark)
}
