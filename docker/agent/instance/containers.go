package instance

import (
	"context"
	"maps"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"ndock/docker/agent"
	"ndock/docker/agent/naming"
	"ndock/docker/engine"
	"ndock/docker/ociruntime"
)

// Containers finds servers' containers.
type Containers struct {
	engine engine.Containers
	marks  string // see ociruntime.OutOfMemory
}

// List returns all servers that have a container, backups left out.
func (c *Containers) List(ctx context.Context) ([]agent.Instance, error) {
	found, err := c.labelled(ctx)
	if err != nil {
		return nil, err
	}
	instances := []agent.Instance{}
	for _, one := range found {
		if naming.IsServer(one) {
			instances = append(instances, agent.Instance{
				UUID: one.Labels[naming.LabelServer], Name: one.Labels[naming.LabelName], ProjectID: one.Labels[naming.LabelProject],
				ContainerID: one.ID, State: stateOf(one.State),
			})
		}
	}
	return instances, nil
}

// labelled returns the containers with a server's label. Their names say whether they are one.
func (c *Containers) labelled(ctx context.Context) ([]container.Summary, error) {
	return c.engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", naming.LabelServer))})
}

// IDs returns the servers that have a container, be it a backup.
func (c *Containers) IDs(ctx context.Context) ([]string, error) {
	held, err := c.held(ctx)
	return slices.AppendSeq([]string{}, maps.Keys(held)), err
}

func (c *Containers) held(ctx context.Context) (map[string]bool, error) {
	found, err := c.labelled(ctx)
	held := map[string]bool{}
	for _, uuid := range naming.ServerIDs(found) {
		held[uuid] = true
	}
	return held, err
}

// Get returns one server, or a fault.
func (c *Containers) Get(ctx context.Context, uuid string) (agent.Instance, error) {
	found, err := c.Find(ctx, uuid)
	if err != nil {
		return agent.Instance{}, err
	}
	return agent.Instance{
		UUID: uuid, Name: found.Config.Labels[naming.LabelName], ProjectID: found.Config.Labels[naming.LabelProject], ContainerID: found.ID,
		State: stateOf(found.State.Status), ExitCode: found.State.ExitCode, OOMKilled: c.outOfMemory(found),
	}, nil
}

// stateOf reads Docker's word for it. A container that was never started is a server that is switched off.
func stateOf(docker container.ContainerState) agent.State {
	switch docker {
	case container.StateRunning, container.StateRestarting:
		return agent.Running
	case container.StatePaused:
		return agent.Paused
	case container.StateDead:
		return agent.Crashed
	}
	return agent.Stopped
}

// killed is the exit status of a process that SIGKILL ended.
const killed = 137

// outOfMemory tells whether a server's process was killed because memory was short. Docker says so of a container in which any
// process was, since its last start, and ndock-runtime where Docker had not begun to watch; where the first process then ended by
// itself, it was not. A kill by a later stop looks the same.
func (c *Containers) outOfMemory(found container.InspectResponse) bool {
	if found.State.Running || found.State.ExitCode != killed {
		return false
	}
	return found.State.OOMKilled || ociruntime.RanOutOfMemory(c.marks, found.ID)
}

// Find returns the server's container, or a fault.
func (c *Containers) Find(ctx context.Context, uuid string) (container.InspectResponse, error) {
	if !naming.IsUUID(uuid) {
		return container.InspectResponse{}, agent.Faultf(agent.BadRequest, "%q is no server's id", uuid)
	}
	return c.named(ctx, naming.Container(uuid), uuid)
}

// backup returns the server's backup, or a fault.
func (c *Containers) backup(ctx context.Context, uuid string) (container.InspectResponse, error) {
	return c.named(ctx, naming.Backup(uuid), uuid)
}

// named returns the server's container of this name. An image can bring the label, but not the name.
func (c *Containers) named(ctx context.Context, name, uuid string) (container.InspectResponse, error) {
	found, err := c.engine.ContainerInspect(ctx, name)
	if errdefs.IsNotFound(err) || err == nil && found.Config.Labels[naming.LabelServer] != uuid {
		return container.InspectResponse{}, agent.Faultf(agent.NoSuchInstance, "server %s has no container on this host", uuid)
	}
	return found, err
}

// absent tells a server without a container from all that can go wrong.
func absent(err error) bool { return agent.CodeOf(err) == agent.NoSuchInstance }

// serverOf is the server that a container is labelled with.
func serverOf(found container.InspectResponse) string { return found.Config.Labels[naming.LabelServer] }
