package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"ndock/docker/agent"
	"ndock/docker/network"
)

// putPorts plugs a server's ports: each gets its cable, and its interface the place that it has in the list. One that is
// plugged already keeps its place, and what Neutron says of it today counts from the next start on.
func (s *Server) putPorts(_ http.ResponseWriter, r *http.Request) (any, error) {
	var vifs agent.Ports
	if err := read(r, &vifs); err != nil {
		return nil, err
	}
	ports, err := s.portsFrom(vifs)
	if err != nil {
		return nil, err
	}
	return s.alone(r, func(_ context.Context, uuid string) error { return s.plug(uuid, ports, false) })
}

// getPorts tells which ports are plugged already: Neutron has wired those, and will not say so once more.
func (s *Server) getPorts(_ http.ResponseWriter, r *http.Request) (any, error) {
	ids := []string{}
	plugged, err := s.portsOf(r.PathValue("uuid"))
	for _, port := range plugged {
		ids = append(ids, port.ID)
	}
	return ids, err
}

// maxPorts is the most that a server may have.
const maxPorts = 1024

func (s *Server) portsFrom(vifs agent.Ports) ([]network.Port, error) {
	if len(vifs) > maxPorts {
		return nil, badRequest("%d ports are too many: a server has %d at most", len(vifs), maxPorts)
	}
	ports := make([]network.Port, len(vifs))
	for i, vif := range vifs {
		var err error
		if ports[i], err = network.PortOf(vif, s.rules.Bridges); err != nil {
			return nil, badRequest("%v", err)
		}
		ports[i].Unwired = !vif.Wired()
	}
	return ports, nil
}

// portsOf returns what is plugged for a server, in the order of its interfaces.
func (s *Server) portsOf(uuid string) ([]network.Port, error) {
	if !uuidPattern.MatchString(uuid) {
		return nil, badRequest("%q is no server's id", uuid)
	}
	return network.Ports(s.serverDir(uuid))
}

// plug writes a port down before it makes the cable: a cable always has an owner that can be found, whatever happens in
// between. wait says that no container gets the ports that are new before they are joined.
func (s *Server) plug(uuid string, ports []network.Port, wait bool) error {
	plugged, err := s.portsOf(uuid)
	if err != nil {
		return err
	}
	if err := s.checkFit(uuid, ports, plugged); err != nil {
		return err
	}
	for i := range ports {
		ports[i].Server, ports[i].Dir = uuid, s.serverDir(uuid)
		plugged = with(plugged, ports[i], wait)
	}
	if err := network.SetPorts(s.serverDir(uuid), plugged); err != nil {
		return fmt.Errorf("write down the ports of server %s: %w", uuid, err)
	}
	for _, port := range ports {
		if err := network.Plug(port); err != nil {
			return fmt.Errorf("plug port %s: %w", port.ID, err)
		}
	}
	return nil
}

// checkFit refuses a new port of whose addresses this host's kernel can give none, and says in the log what the others go
// without. One that the server has stays: Nova would call the server broken, where it only cannot start here.
func (s *Server) checkFit(uuid string, ports, plugged []network.Port) error {
	var refused []error
	_, losses := s.kernel.Fit(ports)
	for _, loss := range losses {
		if loss.Whole && !isPlugged(plugged, loss.Port) {
			refused = append(refused, unfit(loss))
			continue
		}
		s.log.Warn("a port goes without addresses", "server", uuid, "reason", loss)
	}
	return errors.Join(refused...)
}

// unfit is a fault of the port's where no other host could give it its addresses either.
func unfit(loss *network.Loss) error {
	if !loss.Anywhere {
		return loss
	}
	return &agent.Fault{Code: agent.UnusablePort, Message: loss.Error()}
}

// fittingPorts returns what is plugged for a server, as its container can have it.
func (s *Server) fittingPorts(uuid string) ([]network.Port, error) {
	ports, err := s.portsOf(uuid)
	fitting, _ := s.kernel.Fit(ports)
	return fitting, err
}

// with adds a port behind the others, or puts it in the place of what was known of it. A port that was wired stays so.
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

func (s *Server) deletePorts(_ http.ResponseWriter, r *http.Request) (any, error) {
	var ports agent.Ports
	if err := read(r, &ports); err != nil {
		return nil, err
	}
	return s.alone(r, func(_ context.Context, uuid string) error { return s.unplug(uuid, ports) })
}

// unplug removes the cables of a server, and those of its ports that only the request names.
func (s *Server) unplug(uuid string, also agent.Ports) error {
	plugged, err := s.portsOf(uuid)
	if err != nil { // then those that Nova names are all that is known
		s.log.Error("what is written down of a server's ports cannot be read", "server", uuid, "reason", err)
	}
	var failed []error
	for _, port := range plugged {
		failed = append(failed, s.forget(uuid, port.ID))
	}
	also = slices.DeleteFunc(slices.Clone(also), func(vif agent.VIF) bool { return isPlugged(plugged, vif.ID) })
	return errors.Join(append(failed, s.unplugMarked(uuid, also))...)
}

// unplugMarked removes the cables of ports that are written down nowhere, but marked as this server's. Others, of another
// server or of a router, are not touched, whoever names them.
func (s *Server) unplugMarked(uuid string, vifs agent.Ports) error {
	if len(vifs) == 0 {
		return nil
	}
	marked, err := network.Plugged(s.state)
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

// forget removes the cable first: as long as that is there, it is written down whose it is.
func (s *Server) forget(uuid, portID string) error {
	plugged, err := s.portsOf(uuid)
	if err != nil {
		return err
	}
	place := slices.IndexFunc(plugged, func(port network.Port) bool { return port.ID == portID })
	if place < 0 {
		return nil
	}
	if err := network.Unplug(plugged[place]); err != nil {
		return err
	}
	return network.SetPorts(s.serverDir(uuid), slices.Delete(plugged, place, place+1))
}
