package instance

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/network"
)

// Ports has the verbs for servers' ports.
type Ports struct {
	containers *Containers
	verbs      *verbs
	plugger    *plugger
	names      *names
	choices    *choices
	bridges    []string // that the operator allows beside Neutron's own
}

// Plugged returns how many veth pairs of servers' ports this host has.
func (p *Ports) Plugged() (int, error) {
	found, err := network.Plugged(p.plugger.dirs.root)
	return len(found), err
}

// Plug plugs a server's ports: each gets its veth, and its interface the index that it has in the list. One that is plugged
// already keeps its index, and what Neutron says of it today counts from the next start on.
func (p *Ports) Plug(ctx context.Context, uuid string, vifs agent.Ports) error {
	ports, err := p.read(vifs)
	if err != nil {
		return err
	}
	return p.verbs.withLock(ctx, uuid, func() error { return p.plugger.plug(uuid, ports, false) })
}

// IDs tells which ports are plugged already: Neutron has wired those, and will not say so once more.
func (p *Ports) IDs(_ context.Context, uuid string) ([]string, error) {
	ids := []string{}
	plugged, err := p.plugger.ports(uuid)
	for _, port := range plugged {
		ids = append(ids, port.ID)
	}
	return ids, err
}

// Unplug removes the ports of a server, and those of its ports that only the request names.
func (p *Ports) Unplug(ctx context.Context, uuid string, also agent.Ports) error {
	return p.verbs.withLock(ctx, uuid, func() error { return p.plugger.unplug(uuid, also) })
}

func (p *Ports) read(vifs agent.Ports) ([]network.Port, error) {
	ports := make([]network.Port, len(vifs))
	for i, vif := range vifs {
		var err error
		if ports[i], err = network.PortOf(vif, p.bridges); err != nil {
			return nil, agent.Faultf(agent.BadRequest, "%v", err)
		}
		ports[i].Unwired = !vif.Wired()
	}
	return ports, nil
}

// Attach plugs one more port into a server, and into its container at once where that runs. With wait no container gets it,
// before it is attached once more without: until then Neutron has not filtered it.
func (p *Ports) Attach(ctx context.Context, uuid string, vif agent.VIF, wait bool) error {
	ports, err := p.read(agent.Ports{vif})
	if err != nil {
		return err
	}
	port := ports[0]
	port.Unwired = port.Unwired && wait
	return p.verbs.withContainer(ctx, uuid, func(found container.InspectResponse) error {
		if err := p.choices.refuse(found, "cannot be given another port: its own network has those of its start. Stop it, attach the port, and start it"); err != nil {
			return err
		}
		before, err := p.plugger.ports(uuid)
		if err != nil {
			return err
		}
		err = p.plugger.plug(uuid, []network.Port{port}, wait)
		if err == nil && !wait {
			err = p.join(uuid, port.ID, found)
		}
		if err == nil {
			err = ctx.Err() // a caller that gave up waiting believes that the port is not there
		}
		if err != nil && !isWired(before, port.ID) {
			return errors.Join(err, p.plugger.forget(uuid, port.ID))
		}
		return err
	})
}

// join gives a port that is plugged to the container; one that does not run gets it when it starts.
func (p *Ports) join(uuid, portID string, found container.InspectResponse) error {
	ports, err := p.plugger.fittingPorts(uuid)
	if err != nil || !found.State.Running {
		return err
	}
	i := slices.IndexFunc(ports, func(port network.Port) bool { return port.ID == portID })
	if err := network.Attach(ports[i], ports[:i], network.NetnsPath(found.ID)); err != nil {
		return fmt.Errorf("attach port %s: %w", portID, err)
	}
	p.names.tryRefresh(found)
	if found.State.Paused {
		return network.LinksDown(ports[i:i+1], network.NetnsPath(found.ID))
	}
	return nil
}

// Detach takes a port out of a server, whether it has a container or not: with its veth the interface goes.
func (p *Ports) Detach(ctx context.Context, uuid, portID string) error {
	return p.verbs.withLock(ctx, uuid, func() error {
		if err := p.plugger.forget(uuid, portID); err != nil {
			return err
		}
		found, err := p.containers.Find(ctx, uuid)
		if absent(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return p.reconnect(uuid, found)
	})
}

// reconnect has a container that lost a port use the others: one of them may have the route that was the lost one's.
func (p *Ports) reconnect(uuid string, found container.InspectResponse) error {
	if !found.State.Running {
		return nil
	}
	p.names.tryRefresh(found)
	choice, err := p.choices.recorded(found)
	if err != nil || choice.Sandbox || found.State.Paused { // to a sandbox's network the routes of its start stay
		return err
	}
	ports, err := p.plugger.fittingPorts(uuid)
	if err != nil {
		return err
	}
	return network.LinksUp(ports, network.NetnsPath(found.ID))
}
