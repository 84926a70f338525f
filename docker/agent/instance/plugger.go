package instance

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"ndock/docker/agent"
	"ndock/docker/agent/naming"
	"ndock/docker/network"
)

// plugger plugs servers' ports, and keeps what is plugged in the servers' directories. Its callers hold the server's lock.
type plugger struct {
	dirs   directories
	kernel network.Kernel
	log    *slog.Logger
}

// ports returns what is plugged for a server, in the order of its interfaces.
func (p *plugger) ports(uuid string) ([]network.Port, error) {
	if !naming.IsUUID(uuid) {
		return nil, agent.Faultf(agent.BadRequest, "%q is no server's id", uuid)
	}
	return network.Ports(p.dirs.of(uuid))
}

// plug records a port before it makes its veth: a veth always has an owner that can be found, whatever happens in between.
// wait says that no container gets the ports that are new before they are joined.
func (p *plugger) plug(uuid string, ports []network.Port, wait bool) error {
	plugged, err := p.ports(uuid)
	if err != nil {
		return err
	}
	if err := p.checkFit(uuid, ports, plugged); err != nil {
		return err
	}
	before := len(plugged)
	for i := range ports {
		ports[i].Server, ports[i].Dir = uuid, p.dirs.of(uuid)
		plugged = with(plugged, ports[i], wait)
	}
	if len(plugged) > max(before, agent.MaxPorts) {
		return agent.Faultf(agent.BadRequest, "%d ports are too many: a server has %d at most", len(plugged), agent.MaxPorts)
	}
	if err := network.SetPorts(p.dirs.of(uuid), plugged); err != nil {
		return fmt.Errorf("record the ports of server %s: %w", uuid, err)
	}
	for _, port := range ports {
		if err := network.Plug(port); err != nil {
			return fmt.Errorf("plug port %s: %w", port.ID, err)
		}
	}
	return nil
}

// checkFit refuses a new port to which this host's kernel can give none of its addresses, and logs what the others go
// without. A port that the server has stays: Nova would call the server broken, where it only cannot start here.
func (p *plugger) checkFit(uuid string, ports, plugged []network.Port) error {
	var refused []error
	_, losses := p.kernel.Fit(ports)
	for _, loss := range losses {
		if loss.Whole && !isPlugged(plugged, loss.Port) {
			refused = append(refused, portFault(loss))
			continue
		}
		p.log.Warn("a port goes without addresses", "server", uuid, "reason", loss)
	}
	return errors.Join(refused...)
}

// portFault is an UnusablePort where no other host could give the port its addresses either.
func portFault(loss *network.Loss) error {
	if !loss.Anywhere {
		return loss
	}
	return agent.Faultf(agent.UnusablePort, "%v", loss)
}

// fittingPorts returns what is plugged for a server, as its container can have it.
func (p *plugger) fittingPorts(uuid string) ([]network.Port, error) {
	ports, err := p.ports(uuid)
	fitting, _ := p.kernel.Fit(ports)
	return fitting, err
}

// with adds a port behind the others, or replaces what was known of it. A port that was wired stays so.
func with(plugged []network.Port, port network.Port, wait bool) []network.Port {
	for i, known := range plugged {
		if known.ID == port.ID {
			port.Index = known.Index
			port.Unwired = port.Unwired && known.Unwired
			plugged[i] = port
			return plugged
		}
		port.Index = max(port.Index, known.Index+1)
	}
	port.Unwired = wait
	return append(plugged, port)
}

// unplug removes the veths of a server, and those of its ports that only the request names, and then forgets them.
func (p *plugger) unplug(uuid string, also agent.Ports) error {
	plugged, left, err := p.removeVeths(uuid, also)
	if len(left) == len(plugged) {
		return err
	}
	return errors.Join(err, network.SetPorts(p.dirs.of(uuid), left))
}

// removeVeths is unplug without a word on the disk: who removes the server's directory next needs no space for it. It returns
// which ports are recorded, and of which of them the veths are still there.
func (p *plugger) removeVeths(uuid string, also agent.Ports) (plugged, left []network.Port, err error) {
	plugged, err = p.ports(uuid)
	if err != nil { // then those that Nova names are all that is known
		p.log.Error("the record of a server's ports cannot be read", "server", uuid, "reason", err)
	}
	left = []network.Port{}
	var failed []error
	for _, port := range plugged {
		if err := network.Unplug(port); err != nil {
			left, failed = append(left, port), append(failed, err)
		}
	}
	also = slices.DeleteFunc(slices.Clone(also), func(vif agent.VIF) bool { return isPlugged(plugged, vif.ID) })
	return plugged, left, errors.Join(append(failed, p.unplugMarked(uuid, also))...)
}

// unplugMarked removes the veths of ports that are recorded nowhere, but marked as this server's. Others, of another
// server or of a router, are not touched, whoever names them.
func (p *plugger) unplugMarked(uuid string, vifs agent.Ports) error {
	if len(vifs) == 0 {
		return nil
	}
	marked, err := network.Plugged(p.dirs.root)
	if err != nil {
		return err
	}
	var failed []error
	for _, port := range marked {
		if port.Server == uuid && slices.ContainsFunc(vifs, func(vif agent.VIF) bool { return strings.HasPrefix(vif.ID, port.ID) }) {
			failed = append(failed, network.Unplug(port))
		}
	}
	return errors.Join(failed...)
}

// forget removes the veth first: as long as that is there, its owner is recorded.
func (p *plugger) forget(uuid, portID string) error {
	plugged, err := p.ports(uuid)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(plugged, func(port network.Port) bool { return port.ID == portID })
	if i < 0 {
		return nil
	}
	if err := network.Unplug(plugged[i]); err != nil {
		return err
	}
	return network.SetPorts(p.dirs.of(uuid), slices.Delete(plugged, i, i+1))
}

func isPlugged(ports []network.Port, id string) bool {
	return slices.ContainsFunc(ports, func(port network.Port) bool { return port.ID == id })
}

// isWired tells whether a container may have had the port.
func isWired(ports []network.Port, id string) bool {
	return slices.ContainsFunc(ports, func(port network.Port) bool { return port.ID == id && !port.Unwired })
}
