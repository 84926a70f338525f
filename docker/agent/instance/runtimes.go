package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/config"
	"ndock/docker/agent/devices"
	"ndock/docker/agent/limits"
	"ndock/docker/agent/naming"
	"ndock/docker/agent/runtimes"
	"ndock/docker/engine"
	"ndock/docker/ociruntime"
)

// choices keeps which runtime servers' containers have, where ndock-runtime reads it and no tenant can write.
type choices struct {
	engine   engine.Docker
	runtimes *runtimes.Runtimes
	dirs     directories
	dir      string // a file for each container, see ociruntime.Choices
	marks    string // see ociruntime.OutOfMemory
}

// record writes which program runs a container of a server.
func (c *choices) record(choice ociruntime.Choice, uuid, id string) error {
	choice.Server = c.dirs.of(uuid)
	return choice.Record(c.dir, id)
}

// of returns the runtime for a new container: that of the flavor, or the operator's default. No one else is asked.
func (c *choices) of(ctx context.Context, spec agent.Spec) (ociruntime.Choice, error) {
	name, err := limits.RuntimeName(spec)
	if err != nil {
		return ociruntime.Choice{}, err
	}
	if name != "" && !c.runtimes.Has(name) {
		return ociruntime.Choice{}, agent.Faultf(agent.UnusableFlavor, "the flavor's %s is %q, which agent.yaml of this host does not have: "+
			"with trait:%s=required in the flavor, too, Nova chooses a host that has it", limits.RuntimeSpec, name, naming.RuntimeTrait(name))
	}
	return c.named(ctx, name)
}

// named returns the program of a name, if it will be the one that runs the container: a program of an earlier release, in the place
// of ndock-runtime, would have runc do it.
func (c *choices) named(ctx context.Context, name string) (ociruntime.Choice, error) {
	choice, err := c.runtimes.Named(name)
	if err != nil || choice.Path == "" {
		return choice, err
	}
	info, err := c.engine.Info(ctx)
	if err != nil {
		return choice, fmt.Errorf("ask Docker by which program it runs servers: %w", err)
	}
	ours := info.Runtimes[ociruntime.Name]
	ctx, cancel := context.WithTimeout(ctx, choicesLimit)
	defer cancel()
	ask := exec.CommandContext(ctx, ours.Path, append(slices.Clone(ours.Args), ociruntime.ChoicesVerb)...)
	if err := ask.Run(); err != nil {
		return choice, fmt.Errorf("the engine runs servers by %q, which does not know of runtimes: run 'ndock node setup': %w", ours.Path, err)
	}
	return choice, nil
}

// choicesLimit is how long ndock-runtime may take to say that it knows of runtimes.
const choicesLimit = 10 * time.Second

// checkSandbox refuses to run a container that has devices in a sandbox: gVisor leaves them out and says nothing. A container that
// is not made yet has no id.
func checkSandbox(devices *devices.Devices, choice ociruntime.Choice, uuid, container string) error {
	if !choice.Sandbox {
		return nil
	}
	names, err := devices.Of(uuid, container)
	if err != nil || len(names) == 0 {
		return err
	}
	return fmt.Errorf("the server is to have devices (%s), and the runtime %s is a sandbox, which gives it none: "+
		"its flavor has to name one that is not, as %s=%s", strings.Join(names, ", "), choice.Name, limits.RuntimeSpec, config.RunC)
}

// ready has a container start by the program that agent.yaml has today under the name that it was made with. One that runs
// keeps the program that started it.
func (c *choices) ready(ctx context.Context, found container.InspectResponse, devices *devices.Devices) error {
	if found.State.Running {
		return nil
	}
	now, err := c.today(ctx, found)
	if err != nil {
		return err
	}
	if err := checkSandbox(devices, now, serverOf(found), found.ID); err != nil {
		return err
	}
	return c.record(now, serverOf(found), found.ID)
}

// today returns the program by which a container would be started now.
func (c *choices) today(ctx context.Context, found container.InspectResponse) (ociruntime.Choice, error) {
	was, err := c.recorded(found)
	if err != nil {
		return was, err
	}
	now, err := c.named(ctx, was.Name)
	if err != nil {
		return now, fmt.Errorf("the server was made for the runtime %s: %w", was.Name, err)
	}
	now.Engine = was.Engine
	return now, nil
}

// recorded returns what runs a container. Its label says it, too, but an image may have brought that to a container of an
// earlier release: where the two differ, neither is believed.
func (c *choices) recorded(found container.InspectResponse) (ociruntime.Choice, error) {
	choice, err := ociruntime.ChoiceOf(c.dir, found.ID)
	if err != nil {
		return choice, err
	}
	if label := found.Config.Labels[naming.LabelRuntime]; label != "" && label != choice.Name {
		return choice, fmt.Errorf("the server's container is labelled with the runtime %q, and %s has %s for it", label, c.dir, choice.Name)
	}
	return choice, nil
}

// refuse returns a fault where a container that runs has a kernel of its own, in which this cannot be done.
func (c *choices) refuse(found container.InspectResponse, what string) error {
	choice, err := c.recorded(found)
	if err != nil || !choice.Sandbox || !found.State.Running {
		return err
	}
	return agent.Faultf(agent.BadRequest, "a server that runs with %s %s", choice.Name, what)
}

// forget removes what is recorded of a container that is gone, the choice last: by that the rest is found.
func (c *choices) forget(id string) error {
	if err := ociruntime.ForgetOutOfMemory(c.marks, id); err != nil {
		return err
	}
	return ociruntime.ForgetChoice(c.dir, id)
}

// forgetOld removes what is recorded for containers that are gone without the agent, as those that were removed by hand. That Docker
// does not know a container is not enough, as its data may be another today: the server has to be gone, too. What an earlier release
// has recorded stays.
func (c *choices) forgetOld(ctx context.Context) error {
	records, err := os.ReadDir(c.dir)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	on, err := engine.ID(ctx, c.engine)
	if err != nil {
		return err
	}
	found, err := c.engine.ContainerList(ctx, container.ListOptions{All: true}) // later than the records
	if err != nil {
		return err
	}
	away, err := engine.Unknown(ctx, c.engine)
	if err != nil {
		return err
	}
	failed := []error{}
	for _, record := range records {
		known := away[record.Name()] || slices.ContainsFunc(found, func(one container.Summary) bool { return one.ID == record.Name() })
		if info, err := record.Info(); known || !ociruntime.IsID(record.Name()) || err != nil || time.Since(info.ModTime()) <= abandonedAfter {
			continue // or it is a file that was being written when the agent was killed
		}
		choice, err := ociruntime.ChoiceOf(c.dir, record.Name())
		if err == nil && isOld(choice, on) {
			err = c.forget(record.Name())
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// forgetServer removes what is recorded for containers of a server of which none is left, as one that was removed by hand.
func (c *choices) forgetServer(uuid string) error {
	records, err := os.ReadDir(c.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	failed := []error{err}
	for _, record := range records {
		choice, err := ociruntime.ChoiceOf(c.dir, record.Name())
		if err == nil && choice.Server == c.dirs.of(uuid) { // what cannot be read is no reason to keep this server
			failed = append(failed, c.forget(record.Name()))
		}
	}
	return errors.Join(failed...)
}

// mayBe tells whether a container that the engine does not know may be one all the same, as what is recorded of it says.
func (c *choices) mayBe(id, engine string) (bool, error) {
	choice, err := ociruntime.ChoiceOf(c.dir, id)
	return choice.Server != "" && !isOld(choice, engine), err
}

// isOld tells whether a record is of a container of this engine, whose server is gone.
func isOld(choice ociruntime.Choice, engine string) bool {
	_, err := os.Stat(choice.Server)
	return engine != "" && choice.Engine == engine && choice.Server != "" && errors.Is(err, os.ErrNotExist)
}
