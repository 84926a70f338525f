package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/network"
)

// attachPort plugs one more port into a server, and into its container at once where that runs.
func (s *Server) attachPort(_ http.ResponseWriter, r *http.Request) (any, error) {
	port, err := readPort(r)
	if err != nil {
		return nil, err
	}
	return s.holding(r, func(ctx context.Context, found container.InspectResponse) error {
		uuid := r.PathValue("uuid")
		plugged, err := s.portsOf(ctx, uuid)
		if err != nil {
			return err
		}
		index := nextIndex(plugged, port.ID)
		port = port.Beside(before(plugged, index))
		if err := s.plug(ctx, uuid, index, port); err != nil {
			return fmt.Errorf("plug port %s: %w", port.ID, err)
		}
		return s.connectNow(ctx, found, pluggedPort{Port: port, network: networkName(index, port.ID), index: index})
	})
}

func (s *Server) connectNow(ctx context.Context, found container.InspectResponse, port pluggedPort) error {
	if connected(found, port.network) {
		return nil
	}
	if err := s.docker.NetworkConnect(ctx, port.network, found.ID, nil); err != nil {
		return errors.Join(fmt.Errorf("connect port %s: %w", port.ID, err), s.unplugOne(ctx, port))
	}
	return s.settle(ctx, found.ID, []pluggedPort{port})
}

// readPort reads the one port that a request is about.
func readPort(r *http.Request) (network.Port, error) {
	var vif network.VIF
	if err := read(r, &vif); err != nil {
		return network.Port{}, err
	}
	if vif.ID != r.PathValue("port") {
		return network.Port{}, badRequest("the request is for port %s, and its body for port %s", r.PathValue("port"), vif.ID)
	}
	ports, err := portsFrom(agent.Ports{vif})
	if err != nil {
		return network.Port{}, err
	}
	return ports[0], nil
}

// before are the ports whose interfaces come before the one of an index.
func before(plugged []pluggedPort, index int) []network.Port {
	var ports []network.Port
	for _, port := range plugged {
		if port.index < index {
			ports = append(ports, port.Port)
		}
	}
	return ports
}

// nextIndex is the place that the port has among the server's, or the first behind them.
func nextIndex(plugged []pluggedPort, portID string) int {
	next := 0
	for _, port := range plugged {
		if port.ID == portID {
			return port.index
		}
		next = max(next, port.index+1)
	}
	return next
}

// detachPort takes a port out of a server, whether it has a container or not.
func (s *Server) detachPort(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.alone(r, func(ctx context.Context, uuid string) error {
		plugged, err := s.portsOf(ctx, uuid)
		if err != nil {
			return err
		}
		for _, port := range plugged {
			if port.ID != r.PathValue("port") {
				continue
			}
			if err := s.disconnect(ctx, uuid, port); err != nil {
				return err
			}
			return s.unplugOne(ctx, port)
		}
		return network.Unplug(r.PathValue("port"))
	})
}

// disconnect takes a port out of the server's container, and out of the one that is set aside.
func (s *Server) disconnect(ctx context.Context, uuid string, port pluggedPort) error {
	for _, name := range []string{namePrefix + uuid, asideName(uuid)} {
		found, err := s.findNamed(ctx, name, uuid)
		if absent(err) || err == nil && !connected(found, port.network) {
			continue
		}
		if err == nil {
			err = s.docker.NetworkDisconnect(ctx, port.network, found.ID, true)
		}
		if err != nil && !strings.Contains(err.Error(), "is not connected to") { // what a failed attempt has left
			return fmt.Errorf("disconnect port %s: %w", port.ID, err)
		}
	}
	return nil
}

func connected(found container.InspectResponse, network string) bool {
	if found.NetworkSettings == nil {
		return false
	}
	_, there := found.NetworkSettings.Networks[network]
	return there
}
