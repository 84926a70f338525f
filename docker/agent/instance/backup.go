package instance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

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

// rescuePath is where a rescued server has its own files.
const rescuePath = "/mnt/rescue"

// mountBackup makes a volume of the files of the server's backup. Docker mounts it whenever the container
// that has it starts, and at no other time: both containers' writes in one directory at once would damage it.
func (c *Creator) mountBackup(ctx context.Context, uuid string) ([]mount.Mount, error) {
	backup, err := c.containers.backup(ctx, uuid)
	if err != nil {
		return nil, err
	}
	options, err := overlayOptions(backup)
	if err != nil {
		return nil, err
	}
	// One that a rescue has left which failed would be taken as it is, whatever it is asked to be.
	if err := removeRescueVolume(ctx, c.engine, uuid); err != nil {
		return nil, err
	}
	_, err = c.engine.VolumeCreate(ctx, volume.CreateOptions{
		Name: naming.RescueVolume(uuid), Driver: "local", Labels: map[string]string{naming.LabelServer: uuid},
		DriverOpts: map[string]string{"type": "overlay", "device": "overlay", "o": options},
	})
	if err != nil {
		return nil, fmt.Errorf("make a volume of the server's files: %w", err)
	}
	return []mount.Mount{{Type: mount.TypeVolume, Source: naming.RescueVolume(uuid), Target: rescuePath}}, nil
}

// overlayOptions returns the mount options by which Docker itself mounts the container's files.
func overlayOptions(of container.InspectResponse) (string, error) {
	layers := of.GraphDriver.Data
	if of.GraphDriver.Name != "overlay2" || layers["UpperDir"] == "" {
		return "", agent.Faultf(agent.BadRequest, "a server can be rescued where Docker's storage driver is overlay2, and here it is %q", of.GraphDriver.Name)
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,nodev", layers["LowerDir"], layers["UpperDir"], layers["WorkDir"])
	if of.MountLabel != "" {
		options += fmt.Sprintf(",context=%q", of.MountLabel)
	}
	if strings.ContainsAny(layers["LowerDir"], ",") || len(options) >= os.Getpagesize() { // what mount(2) can be given
		return "", agent.Faultf(agent.BadRequest, "the server's image has too many layers (%d) for its files to be mounted in another container", strings.Count(layers["LowerDir"], ":"))
	}
	return options, nil
}

func removeRescueVolume(ctx context.Context, docker engine.Docker, uuid string) error {
	if err := docker.VolumeRemove(ctx, naming.RescueVolume(uuid), false); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove volume %s: %w", naming.RescueVolume(uuid), err)
	}
	return nil
}

// shareLevel gives the container of a rescue the SELinux level of the server's backup, whose files it has: each container has
// categories of its own else.
func (c *Creator) shareLevel(ctx context.Context, uuid string, host *container.HostConfig) error {
	backup, err := c.containers.backup(ctx, uuid)
	if err != nil {
		return err
	}
	if label := strings.SplitN(backup.MountLabel, ":", 4); len(label) == 4 { // user, role, type and level
		host.SecurityOpt = append(host.SecurityOpt, "label=level:"+label[3])
	}
	return nil
}
