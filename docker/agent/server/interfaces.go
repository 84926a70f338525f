package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/network"
)

// attachPort plugs one more port into a server, and into its container at once where that runs. With join=false no container
// gets it, before the request is made once more without: until then Neutron has not filtered it.
func (s *Server) attachPort(_ http.ResponseWriter, r *http.Request) (any, error) {
	port, err := s.readPort(r)
	if err != nil {
		return nil, err
	}
	wait := r.URL.Query().Get("join") == "false"
	port.Unwired = port.Unwired && wait
	return s.holding(r, func(ctx context.Context, found container.InspectResponse) error {
		uuid := r.PathValue("uuid")
		before, err := s.portsOf(uuid)
		if err != nil {
			return err
		}
		err = s.plug(uuid, []network.Port{port}, wait)
		if err == nil && !wait {
			err = s.join(uuid, port.ID, found)
		}
		if err == nil {
			err = ctx.Err() // who gave up waiting believes that the port is not there
		}
		if err != nil && !isWired(before, port.ID) {
			return errors.Join(err, s.forget(uuid, port.ID))
		}
		return err
	})
}

func isPlugged(ports []network.Port, id string) bool {
	return slices.ContainsFunc(ports, func(port network.Port) bool { return port.ID == id })
}

// isWired tells whether a container may have had the port.
func isWired(ports []network.Port, id string) bool {
	return slices.ContainsFunc(ports, func(port network.Port) bool { return port.ID == id && !port.Unwired })
}

// join gives a port that is plugged to the container; one that does not run gets it when it starts.
func (s *Server) join(uuid, portID string, found container.InspectResponse) error {
	ports, err := s.fittingPorts(uuid)
	if err != nil || !found.State.Running {
		return err
	}
	place := slices.IndexFunc(ports, func(port network.Port) bool { return port.ID == portID })
	if err := network.Attach(ports[place], ports[:place], network.Holder(found.ID)); err != nil {
		return fmt.Errorf("attach port %s: %w", portID, err)
	}
	s.tryNames(found)
	if found.State.Paused {
		return network.Silence(ports[place:place+1], network.Holder(found.ID))
	}
	return nil
}

// tryNames writes the names of a container that runs. Its owner can keep that from being done, to no one's harm but his.
func (s *Server) tryNames(found container.InspectResponse) {
	if err := s.refreshNames(found); err != nil {
		s.log.Warn("a server keeps the names that it knows", "reason", err)
	}
}

// readPort reads the one port that a request is about.
func (s *Server) readPort(r *http.Request) (network.Port, error) {
	var vif agent.VIF
	if err := read(r, &vif); err != nil {
		return network.Port{}, err
	}
	if vif.ID != r.PathValue("port") {
		return network.Port{}, badRequest("the request is for port %s, and its body for port %s", r.PathValue("port"), vif.ID)
	}
	ports, err := s.portsFrom(agent.Ports{vif})
	if err != nil {
		return network.Port{}, err
	}
	return ports[0], nil
}

// detachPort takes a port out of a server, whether it has a container or not: with its cable the interface goes.
func (s *Server) detachPort(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.alone(r, func(ctx context.Context, uuid string) error {
		if err := s.forget(uuid, r.PathValue("port")); err != nil {
			return err
		}
		found, err := s.find(ctx, uuid)
		if absent(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return s.without(uuid, found)
	})
}

// without has a container that lost a port use the others: one of them may have the way that was the lost one's.
func (s *Server) without(uuid string, found container.InspectResponse) error {
	if !found.State.Running {
		return nil
	}
	s.tryNames(found)
	ports, err := s.fittingPorts(uuid)
	if err != nil || found.State.Paused {
		return err
	}
	return network.Connect(ports, network.Holder(found.ID))
}
