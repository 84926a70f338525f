package instance

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/naming"
	"ndock/docker/engine"
	"ndock/docker/network"
	"ndock/docker/ociruntime"
)

// Remover removes servers.
type Remover struct {
	engine     engine.Docker
	containers *Containers
	verbs      *verbs
	dirs       directories
	plugger    *plugger
	commits    *commits
	choices    *choices
}

// Keep says what of a server is not deleted with its container, because that is only replaced.
type Keep string

// What can be kept.
const (
	KeepNothing Keep = ""
	KeepPorts   Keep = "ports" // and the backup
	KeepBackup  Keep = "aside" // and the ports; where there is no backup, all goes
)

// Delete removes all that the server has on this host, however far it came, but what is to be kept. ports may name some
// that are recorded nowhere.
func (r *Remover) Delete(ctx context.Context, uuid string, ports agent.Ports, keep Keep) error {
	return r.verbs.withLock(ctx, uuid, func() error {
		switch keep {
		case KeepPorts:
			return r.removeContainer(ctx, uuid)
		case KeepBackup:
			if _, err := r.containers.backup(ctx, uuid); !absent(err) {
				return errors.Join(err, r.removeContainer(ctx, uuid))
			}
		}
		return r.removeAll(ctx, uuid, ports)
	})
}

// removeAll is Delete for a caller that holds the server's lock.
func (r *Remover) removeAll(ctx context.Context, uuid string, ports agent.Ports) error {
	if err := r.removeContainer(ctx, uuid); err != nil {
		return err
	}
	if err := r.removeBackup(ctx, uuid); err != nil {
		return err
	}
	if _, _, err := r.plugger.removeVeths(uuid, ports); err != nil {
		return err // what is left is recorded in the server's directory
	}
	if err := r.choices.forgetServer(uuid); err != nil {
		return err
	}
	return r.dirs.remove(uuid)
}

// removeContainer removes the server's container, and the volume by which it saw the files of another.
func (r *Remover) removeContainer(ctx context.Context, uuid string) error {
	if err := r.removeNamed(ctx, naming.Container(uuid), uuid); err != nil {
		return err
	}
	if err := r.removeUnfinished(ctx, uuid); err != nil {
		return err
	}
	return removeRescueVolume(ctx, r.engine, uuid) // there may be one without a container, where a rescue has failed
}

func (r *Remover) removeBackup(ctx context.Context, uuid string) error {
	return r.removeNamed(ctx, naming.Backup(uuid), uuid)
}

// removeUnfinished removes a container that was never completed: the agent was killed while Docker made it.
func (r *Remover) removeUnfinished(ctx context.Context, uuid string) error {
	return r.removeNamed(ctx, naming.Unfinished(uuid), uuid)
}

func (r *Remover) removeNamed(ctx context.Context, name, uuid string) error {
	found, err := r.containers.named(ctx, name, uuid)
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.remove(ctx, found)
}

// remove removes a container of a server, with what only it has used, as the image that was committed for it.
func (r *Remover) remove(ctx context.Context, found container.InspectResponse) error {
	uuid := serverOf(found)
	if err := r.dirs.touch(uuid); err != nil {
		return err
	}
	if found.State.Paused { // a sandbox that is paused does not take a kill
		_ = r.engine.ContainerUnpause(ctx, found.ID) // one that refuses this too is killed without its consent
	}
	err := r.engine.ContainerRemove(ctx, found.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove container %s: %w", found.ID[:12], err)
	}
	// If the hook did not come to it. Where the ports are kept, their veths are, too.
	ports, _ := r.plugger.ports(uuid) // unplug says why they cannot be read
	if err := errors.Join(network.Leave(ports, network.NetnsPath(found.ID)), ociruntime.ReleaseNames(filepath.Join(ociruntime.Names, found.ID)),
		r.choices.forget(found.ID)); err != nil {
		return err
	}
	return r.commits.removeFor(uuid, found.Image, found.Config.Labels[labelCommit])
}
