package instance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/devices"
	"ndock/docker/agent/naming"
	"ndock/docker/engine"
)

// Backups has the verbs for a resize and a rescue: the server's container becomes a backup while another takes its place.
type Backups struct {
	engine     engine.Containers
	containers *Containers
	verbs      *verbs
	runner     *runner
	remover    *Remover
	devices    *devices.Devices
	log        *slog.Logger
}

// Create stops the server's container and makes it the server's backup. Done already, it does nothing.
func (b *Backups) Create(ctx context.Context, uuid string, how Stop) error {
	return b.verbs.withLock(ctx, uuid, func() error {
		found, err := b.containers.Find(ctx, uuid)
		if absent(err) {
			_, err = b.containers.backup(ctx, uuid)
			return err
		}
		if err != nil {
			return err
		}
		if _, err := b.containers.backup(ctx, uuid); !absent(err) {
			return errors.Join(agent.Faultf(agent.BadRequest, "server %s has a backup already, which a resize or a rescue made", uuid), err)
		}
		if err := b.runner.stopFor(ctx, found, how); err != nil {
			return err
		}
		return b.engine.ContainerRename(ctx, found.ID, naming.Backup(uuid))
	})
}

// Restore brings the backup back, in the place of the container that the server has now.
func (b *Backups) Restore(ctx context.Context, uuid string) error {
	return b.verbs.withLock(ctx, uuid, func() error {
		backup, err := b.containers.backup(ctx, uuid)
		if err != nil {
			return err
		}
		if err := b.remover.removeContainer(ctx, uuid); err != nil {
			return err
		}
		if err := b.promote(ctx, uuid, backup); err != nil {
			return fmt.Errorf("restore the backup: %w", err)
		}
		return nil
	})
}

// Discard removes the backup, as when a resize is confirmed. Where the server has gone to another host, its ports go too.
func (b *Backups) Discard(ctx context.Context, uuid string, ports agent.Ports) error {
	return b.verbs.withLock(ctx, uuid, func() error {
		if err := b.remover.removeBackup(ctx, uuid); err != nil {
			return err
		}
		found, err := b.containers.Find(ctx, uuid)
		if err == nil {
			return b.devices.Keep(uuid, found.ID)
		}
		if !absent(err) {
			return err
		}
		return b.remover.removeAll(ctx, uuid, ports)
	})
}

// current returns the server's container. It restores a backup whose successor never came: the agent was killed, or the
// host lost power, in between. The caller holds the server's lock.
func (b *Backups) current(ctx context.Context, uuid string) (container.InspectResponse, error) {
	found, err := b.containers.Find(ctx, uuid)
	if !absent(err) {
		return found, err
	}
	backup, missing := b.containers.backup(ctx, uuid)
	if missing != nil {
		return found, err
	}
	b.log.Warn("a backup is restored: the container that should replace it is not there", "server", uuid)
	if err := b.promote(ctx, uuid, backup); err != nil {
		return found, err
	}
	return b.containers.Find(ctx, uuid)
}

// promote makes the backup the server's container. The devices come first: once it is no backup any more, nobody does it again.
func (b *Backups) promote(ctx context.Context, uuid string, backup container.InspectResponse) error {
	if err := b.devices.Keep(uuid, backup.ID); err != nil {
		return err
	}
	return b.engine.ContainerRename(ctx, backup.ID, naming.Container(uuid))
}
