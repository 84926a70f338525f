package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	dockernetwork "github.com/docker/docker/api/types/network"

	"ndock/docker/agent"
	"ndock/docker/network"
)

// labelIndex is the place of a port among the server's, 0 being eth0.
const labelIndex = "ndock.index"

// putPorts plugs a server's ports: the cables, and a Docker network for each. What is there is left alone.
func (s *Server) putPorts(_ http.ResponseWriter, r *http.Request) (any, error) {
	var vifs agent.Ports
	if err := read(r, &vifs); err != nil {
		return nil, err
	}
	ports, err := portsFrom(vifs)
	if err != nil {
		return nil, err
	}
	return s.alone(r, func(ctx context.Context, uuid string) error {
		for index, port := range ports {
			if err := s.plug(ctx, uuid, index, port.Beside(ports[:index])); err != nil {
				return fmt.Errorf("plug port %s: %w", port.ID, err)
			}
		}
		return nil
	})
}

// getPorts tells which ports are plugged already: Neutron has wired those, and will not say so once more.
func (s *Server) getPorts(_ http.ResponseWriter, r *http.Request) (any, error) {
	ids := []string{}
	plugged, err := s.portsOf(r.Context(), r.PathValue("uuid"))
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

// plug makes the network before the cable: a cable always has an owner that can be found, whatever happens between.
func (s *Server) plug(ctx context.Context, uuid string, index int, port network.Port) error {
	options, err := json.Marshal(port)
	if err != nil {
		return err
	}
	_, err = s.docker.NetworkCreate(ctx, networkName(index, port.ID), dockernetwork.CreateOptions{
		Driver:  network.Driver,
		IPAM:    &dockernetwork.IPAM{Driver: "null"},
		Options: map[string]string{network.PortOption: string(options)},
		Labels:  map[string]string{labelServer: uuid, labelPort: port.ID, labelIndex: strconv.Itoa(index)},
	})
	if err != nil && !errdefs.IsConflict(err) {
		return fmt.Errorf("make its Docker network: %w", err)
	}
	return network.Plug(port)
}

// networkName sorts by interface: that is the order in which Docker numbers them.
func networkName(index int, portID string) string {
	return fmt.Sprintf("ndock-%02d-%s", index, portID)
}

// settle sees to it that a container which was started has all of its ports' addresses, also those that Docker does not
// set (the plugin does so earlier, but has no one to tell if it fails), and that the network knows where it is.
func (s *Server) settle(ctx context.Context, containerID string, plugged []pluggedPort) error {
	if len(plugged) == 0 {
		return nil
	}
	found, err := s.docker.ContainerInspect(ctx, containerID)
	if err != nil {
		return fmt.Errorf("look for the container's process: %w", err)
	}
	namespace := fmt.Sprintf("/proc/%d/ns/net", found.State.Pid)
	for _, port := range plugged {
		// That an interface is not there, which Docker has put there, means that the process has ended already.
		if _, err := network.Settle(port.Port, namespace); err != nil {
			if _, ended := os.Stat(namespace); ended == nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) deletePorts(_ http.ResponseWriter, r *http.Request) (any, error) {
	var ports agent.Ports
	if err := read(r, &ports); err != nil {
		return nil, err
	}
	return s.alone(r, func(ctx context.Context, uuid string) error { return s.unplug(ctx, uuid, ports) })
}

// unplug removes the networks and cables of a server, and the cables of the ports named beside.
func (s *Server) unplug(ctx context.Context, uuid string, also agent.Ports) error {
	plugged, err := s.portsOf(ctx, uuid)
	if err != nil {
		return err
	}
	var failed []error
	for _, port := range plugged {
		failed = append(failed, s.unplugOne(ctx, port))
	}
	for _, vif := range also {
		failed = append(failed, network.Unplug(vif.ID))
	}
	return errors.Join(failed...)
}

// unplugOne removes the cable first: as long as that is there, so is the network by which it is found.
func (s *Server) unplugOne(ctx context.Context, port pluggedPort) error {
	if err := network.Unplug(port.ID); err != nil {
		return err
	}
	if err := s.docker.NetworkRemove(ctx, port.network); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove Docker network %s: %w", port.network, err)
	}
	return nil
}

// portsOf returns what is plugged for a server, in the order of its interfaces.
func (s *Server) portsOf(ctx context.Context, uuid string) ([]pluggedPort, error) {
	found, err := s.docker.NetworkList(ctx, dockernetwork.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelServer+"="+uuid))})
	if err != nil {
		return nil, fmt.Errorf("list the Docker networks of server %s: %w", uuid, err)
	}
	var plugged []pluggedPort
	for _, candidate := range found {
		if candidate.Driver != network.Driver {
			continue
		}
		port := pluggedPort{network: candidate.Name, networkID: candidate.ID}
		if err := json.Unmarshal([]byte(candidate.Options[network.PortOption]), &port.Port); err != nil {
			return nil, fmt.Errorf("the options of Docker network %s: %w", candidate.Name, err)
		}
		if port.index, err = strconv.Atoi(candidate.Labels[labelIndex]); err != nil {
			return nil, fmt.Errorf("the labels of Docker network %s: %w", candidate.Name, err)
		}
		plugged = append(plugged, port)
	}
	slices.SortFunc(plugged, func(a, b pluggedPort) int { return a.index - b.index })
	return plugged, nil
}
