package instance

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/container"
)

// Power has the verbs that start and stop servers.
type Power struct {
	verbs   *verbs
	runner  *runner
	backups *Backups
}

// A Stop says how a server is stopped.
type Stop struct {
	Grace  time.Duration // for its process to end by itself; 0 kills it at once
	Commit bool          // an image will be made of its files: where that is not possible, it is not stopped
}

// Start has a server run, from whatever state. One whose container is only there as a backup gets it back.
func (p *Power) Start(ctx context.Context, uuid string) error {
	return p.verbs.withLock(ctx, uuid, func() error {
		found, err := p.backups.current(ctx, uuid)
		if err != nil {
			return err
		}
		return p.runner.start(ctx, found)
	})
}

// Stop ends a server's process.
func (p *Power) Stop(ctx context.Context, uuid string, how Stop) error {
	return p.verbs.withContainer(ctx, uuid, func(found container.InspectResponse) error {
		return p.runner.stopFor(ctx, found, how)
	})
}

// Restart stops a server and starts it.
func (p *Power) Restart(ctx context.Context, uuid string, grace time.Duration) error {
	return p.verbs.withLock(ctx, uuid, func() error {
		found, err := p.backups.current(ctx, uuid)
		if err != nil {
			return err
		}
		if _, err := p.runner.choices.today(ctx, found); err != nil { // it would stay off
			return err
		}
		if err := p.runner.stop(ctx, found, grace); err != nil {
			return err
		}
		found.State.Running, found.State.Paused = false, false
		return p.runner.start(ctx, found)
	})
}

// Pause has a server neither run nor answer.
func (p *Power) Pause(ctx context.Context, uuid string) error {
	return p.verbs.withContainer(ctx, uuid, func(found container.InspectResponse) error {
		return p.runner.pause(ctx, found)
	})
}

// Unpause has a paused server run again.
func (p *Power) Unpause(ctx context.Context, uuid string) error {
	return p.verbs.withContainer(ctx, uuid, func(found container.InspectResponse) error {
		if !found.State.Paused {
			return nil
		}
		return p.runner.unpause(ctx, found)
	})
}
