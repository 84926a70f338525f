package instance

import (
	"context"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/keylock"
	"ndock/docker/agent/naming"
)

// verbs keeps the verbs of one server apart.
type verbs struct {
	locks      *keylock.Locks // by server
	containers *Containers
}

// withLock runs a verb of one server while no other of its verbs runs.
func (v *verbs) withLock(ctx context.Context, uuid string, verb func() error) error {
	if !naming.IsUUID(uuid) {
		return agent.Faultf(agent.BadRequest, "%q is no server's id", uuid)
	}
	release, err := v.locks.Acquire(ctx, uuid)
	if err != nil {
		return err
	}
	defer release()
	return verb()
}

// withContainer is withLock for a verb on the container that the server has.
func (v *verbs) withContainer(ctx context.Context, uuid string, verb func(found container.InspectResponse) error) error {
	return v.withLock(ctx, uuid, func() error {
		found, err := v.containers.Find(ctx, uuid)
		if err != nil {
			return err
		}
		return verb(found)
	})
}
