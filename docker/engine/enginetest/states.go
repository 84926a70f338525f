package enginetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
)

// find is Find with the lock.
func (e *Engine) find(id string) (container.InspectResponse, error) {
	e.Mu.Lock()
	defer e.Mu.Unlock()
	_, found, err := e.Find(id)
	return found, err
}

// become gives a container another state, and tells of it.
func (e *Engine) become(id string, state *container.State, action events.Action) error {
	e.Mu.Lock()
	defer e.Mu.Unlock()
	name, found, err := e.Find(id)
	if err != nil {
		return err
	}
	base := *found.ContainerJSONBase // others may hold the old one
	base.State, found.ContainerJSONBase = state, &base
	e.Containers[name] = found
	e.tell(action, found)
	return nil
}

// ContainerStart does nothing to a container that runs, as the real one.
func (e *Engine) ContainerStart(_ context.Context, id string, _ container.StartOptions) error {
	if err := e.did("ContainerStart", ""); err != nil {
		return err
	}
	found, err := e.find(id)
	if err != nil {
		return err
	}
	if found.State.Paused {
		return fmt.Errorf("cannot start a paused container, try unpause instead: %w", errdefs.ErrConflict)
	}
	if found.State.Running {
		return nil
	}
	if err := e.become(id, stateOf(container.StateRunning), events.ActionStart); err != nil {
		return err
	}
	return e.begin(id)
}

// begin has the first process start.
func (e *Engine) begin(id string) error {
	if e.Started == nil {
		return nil
	}
	found, err := e.find(id)
	if err != nil {
		return err
	}
	e.Started(&found)
	return nil
}

// ContainerStop does nothing to a container that does not run, as the real one.
func (e *Engine) ContainerStop(_ context.Context, id string, options container.StopOptions) error {
	method := "ContainerStop"
	if options.Timeout != nil {
		method = fmt.Sprintf("ContainerStop(%d)", *options.Timeout)
	}
	if err := e.did(method, ""); err != nil {
		return err
	}
	found, err := e.find(id)
	if err != nil {
		return err
	}
	return e.end(found)
}

// end has the first process of a container end, if it has one.
func (e *Engine) end(found container.InspectResponse) error {
	if !found.State.Running {
		return nil
	}
	err := e.become(found.ID, stateOf(container.StateExited), events.ActionDie)
	if err == nil && e.Stopped != nil {
		err = e.Stopped(found.ID)
	}
	return err
}

func (e *Engine) ContainerPause(_ context.Context, id string) error {
	if err := e.did("ContainerPause", ""); err != nil {
		return err
	}
	found, err := e.find(id)
	if err != nil {
		return err
	}
	if !found.State.Running || found.State.Paused {
		return fmt.Errorf("container %s is not running, or paused already: %w", id, errdefs.ErrConflict)
	}
	return e.become(id, stateOf(container.StatePaused), events.ActionPause)
}

func (e *Engine) ContainerUnpause(ctx context.Context, id string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := e.did("ContainerUnpause", ""); err != nil {
		return err
	}
	found, err := e.find(id)
	if err != nil {
		return err
	}
	if !found.State.Paused {
		return errors.New("Container " + id + " is not paused")
	}
	return e.become(id, stateOf(container.StateRunning), events.ActionUnPause)
}
