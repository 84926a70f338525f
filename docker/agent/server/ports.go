package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

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
	ports, err := portsFrom(vifs)
	if err != nil {
		return nil, err
	}
	return s.alone(r, func(_ context.Context, uuid string) error { return s.plug(uuid, ports) })
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

func portsFrom(vifs agent.Ports) ([]network.Port, error) {
	ports := make([]network.Port, len(vifs))
	for i, vif := range vifs {
		var err error
		if ports[i], err = vif.Port(); err != nil {
			return nil, badRequest("%v", err)
		}
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
// between.
func (s *Server) plug(uuid string, ports []network.Port) error {
	plugged, err := s.portsOf(uuid)
	if err != nil {
		return err
	}
	for i := range ports {
		ports[i].Server, ports[i].Dir = uuid, s.serverDir(uuid)
		plugged = with(plugged, ports[i])
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

// with adds a port behind the others, or puts it in the place of what was known of it.
func with(plugged []network.Port, port network.Port) []network.Port {
	for i, known := range plugged {
		if known.ID == port.ID {
			port.Index = known.Index
			plugged[i] = port
			return plugged
		}
		port.Index = max(port.Index, known.Index+1)
	}
	return append(plugged, port)
}

func (s *Server) deletePorts(_ http.ResponseWriter, r *http.Request) (any, error) {
	var ports agent.Ports
	if err := read(r, &ports); err != nil {
		return nil, err
	}
	return s.alone(r, func(_ context.Context, uuid string) error { return s.unplug(uuid, ports) })
}

// unplug removes the cables of a server, and those of the ports named beside.
func (s *Server) unplug(uuid string, also agent.Ports) error {
	plugged, err := s.portsOf(uuid)
	if err != nil { // then those that Nova names are all that is known
		s.log.Error("what is written down of a server's ports cannot be read", "server", uuid, "reason", err)
	}
	var failed []error
	for _, port := range plugged {
		failed = append(failed, s.forget(uuid, port.ID))
	}
	for _, vif := range also {
		if !isPlugged(plugged, vif.ID) {
			kind, _ := vif.Kind() // one of an unknown kind was never plugged, or not by this release
			failed = append(failed, network.Unplug(network.Port{ID: vif.ID, Kind: kind}))
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
