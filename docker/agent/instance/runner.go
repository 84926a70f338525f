package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/devices"
	"ndock/docker/agent/naming"
	"ndock/docker/engine"
	"ndock/docker/network"
)

// runner starts, stops, pauses and unpauses containers. Callers hold the server's lock.
type runner struct {
	engine  engine.Containers
	plugger *plugger
	names   *names
	pauses  *Pauses
	commits *commits
	choices *choices
	devices *devices.Devices
}

func (r *runner) start(ctx context.Context, found container.InspectResponse) error {
	if found.State.Paused {
		return r.unpause(ctx, found)
	}
	if err := errors.Join(r.pauses.unmark(serverOf(found)), r.names.refresh(found)); err != nil {
		return err
	}
	if err := r.choices.ready(ctx, found, r.devices); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if !found.State.Running {
		if err := (files{r.engine, found.ID}).checkAccounts(ctx, found); err != nil {
			return fmt.Errorf("start: %w", err)
		}
		if err := r.prepareDevices(found); err != nil {
			return fmt.Errorf("start: %w", err)
		}
	}
	if err := r.startContainer(ctx, found.ID); err != nil {
		return fmt.Errorf("start: %w", classify(err))
	}
	return nil
}

// prepareDevices has the container get its devices. It does not start without any of those that it was made with, as where their
// record was lost.
func (r *runner) prepareDevices(found container.InspectResponse) error {
	if err := r.devices.Prepare(serverOf(found), found.ID); err != nil {
		return err
	}
	made := found.Config.Labels[naming.LabelDevices]
	names, err := r.devices.Of(serverOf(found), found.ID)
	if err == nil && made != "" && made != strconv.Itoa(len(names)) {
		err = fmt.Errorf("the server was made with %s devices of this host, and %d are recorded for it: a rebuild gives it what its flavor asks for", made, len(names))
	}
	return err
}

// startContainer tries a second time where a container with a terminal ended while Docker Engine was away, with
// live-restore: the engine (20.10) then hangs up the new terminal in place of the old one.
func (r *runner) startContainer(ctx context.Context, id string) error {
	err := r.engine.ContainerStart(ctx, id, container.StartOptions{})
	if err != nil && strings.Contains(err.Error(), "cannot start a container that has stopped") {
		return r.engine.ContainerStart(ctx, id, container.StartOptions{})
	}
	return err
}

// stopFor stops a container, unless an image is to be made of it and cannot.
func (r *runner) stopFor(ctx context.Context, found container.InspectResponse, how Stop) error {
	if how.Commit {
		if err := r.commits.check(ctx, found.ID); err != nil {
			return err
		}
	}
	return r.stop(ctx, found, how.Grace)
}

// stop lets the process end within grace, by its stop signal, and then kills it. Grace 0 kills it at once.
func (r *runner) stop(ctx context.Context, found container.InspectResponse, grace time.Duration) error {
	if !found.State.Running {
		return nil
	}
	if found.State.Paused { // a paused process hears no signal
		if err := r.engine.ContainerUnpause(ctx, found.ID); err != nil {
			return err
		}
	}
	if err := r.pauses.unmark(serverOf(found)); err != nil {
		return err
	}
	seconds := int(grace.Seconds())
	err := r.engine.ContainerStop(ctx, found.ID, container.StopOptions{Timeout: &seconds})
	if errdefs.IsNotModified(err) {
		return nil
	}
	return err
}

// pause has a server neither run nor answer. If the agent had it paused already, the pause is now its caller's. A server
// whose interfaces cannot be taken down runs on, unless it was paused before.
func (r *runner) pause(ctx context.Context, found container.InspectResponse) error {
	if err := r.choices.refuse(found, "cannot be paused: its own network would go on to answer. Stop it instead"); err != nil {
		return err
	}
	uuid := serverOf(found)
	paused := found.State.Paused && !r.pauses.isMarked(uuid)
	if err := r.pauses.unmark(uuid); err != nil {
		return err
	}
	ports, err := r.plugger.ports(uuid)
	if err != nil {
		return err
	}
	if !found.State.Paused {
		if err := r.engine.ContainerPause(ctx, found.ID); err != nil {
			return err
		}
	}
	err = network.LinksDown(ports, network.NetnsPath(found.ID))
	if !errors.Is(err, os.ErrNotExist) || paused {
		return err
	}
	// Its network is not to be found, and it could not be unpaused later either.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), agent.ShortTimeout) // also when the request is over
	defer cancel()
	return errors.Join(err, r.engine.ContainerUnpause(ctx, found.ID))
}

func (r *runner) unpause(ctx context.Context, found container.InspectResponse) error {
	ports, err := r.plugger.fittingPorts(serverOf(found))
	if err != nil {
		return err
	}
	if err := network.LinksUp(ports, network.NetnsPath(found.ID)); err != nil {
		return err
	}
	if err := r.engine.ContainerUnpause(ctx, found.ID); err != nil {
		return err
	}
	return r.pauses.unmark(serverOf(found))
}
