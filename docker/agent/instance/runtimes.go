package instance

import (
	"fmt"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/limits"
	"ndock/docker/agent/naming"
	"ndock/docker/agent/runtimes"
	"ndock/docker/ociruntime"
)

// choices keeps which runtime servers' containers have, where ndock-runtime reads it and no tenant can write.
type choices struct {
	runtimes *runtimes.Runtimes
	dir      string // a file for each container, see ociruntime.Choices
}

// of returns the runtime for a new container: that of the flavor, or the operator's default. No one else is asked.
func (c *choices) of(spec agent.Spec) (ociruntime.Choice, error) {
	name, err := limits.RuntimeName(spec)
	if err != nil {
		return ociruntime.Choice{}, err
	}
	if name != "" && !c.runtimes.Has(name) {
		return ociruntime.Choice{}, agent.Faultf(agent.UnusableFlavor, "the flavor's %s is %q, which agent.yaml of this host does not have: "+
			"with trait:%s=required in the flavor, too, Nova chooses a host that has it", limits.RuntimeSpec, name, naming.RuntimeTrait(name))
	}
	return c.runtimes.Named(name)
}

// ready has a container start by the program that agent.yaml has today under the name that it was made with. One that runs
// keeps the program that started it.
func (c *choices) ready(found container.InspectResponse) error {
	if found.State.Running {
		return nil
	}
	was, err := c.recorded(found)
	if err != nil {
		return err
	}
	now, err := c.runtimes.Named(was.Name)
	if err != nil {
		return fmt.Errorf("the server was made for the runtime %s: %w", was.Name, err)
	}
	return now.Record(c.dir, found.ID)
}

// recorded returns what runs a container. Its label says it, too, but an image may have brought that to a container of an
// earlier release: where the two differ, neither is believed.
func (c *choices) recorded(found container.InspectResponse) (ociruntime.Choice, error) {
	choice, err := ociruntime.ChoiceOf(c.dir, found.ID)
	if err != nil {
		return choice, err
	}
	if label := found.Config.Labels[naming.LabelRuntime]; label != "" && label != choice.Name {
		return choice, fmt.Errorf("the server's container is labelled with the runtime %q, and %s has %s for it: rebuild the server", label, c.dir, choice.Name)
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
