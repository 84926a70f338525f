package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	dockernetwork "github.com/docker/docker/api/types/network"

	"ndock/docker/agent"
	"ndock/docker/network"
)

// putInstance makes the server's container, with the ports that are plugged for it, and does not start it.
func (s *Server) putInstance(_ http.ResponseWriter, r *http.Request) (any, error) {
	var spec agent.Spec
	if err := read(r, &spec); err != nil {
		return nil, err
	}
	return s.alone(r, func(ctx context.Context, uuid string) error {
		if _, err := s.find(ctx, uuid); err == nil {
			return badRequest("server %s has a container already", uuid)
		} else if fault(err).Code != agent.NoSuchInstance {
			return err
		}
		return s.create(ctx, uuid, spec)
	})
}

func (s *Server) create(ctx context.Context, uuid string, spec agent.Spec) error {
	plugged, err := s.portsOf(ctx, uuid)
	if err != nil {
		return err
	}
	found, err := s.docker.ImageInspect(ctx, imageTag(spec.ImageID))
	if err != nil {
		return fmt.Errorf("look up image %s: %w", spec.ImageID, err)
	}
	config, host, err := containerFor(uuid, spec, found.ID)
	if err != nil {
		return err
	}
	host.DNS = resolvers(plugged)
	networks := &dockernetwork.NetworkingConfig{EndpointsConfig: map[string]*dockernetwork.EndpointSettings{}}
	host.NetworkMode = "none"
	if len(plugged) > 0 {
		host.NetworkMode = container.NetworkMode(plugged[0].network)
		networks.EndpointsConfig[plugged[0].network] = &dockernetwork.EndpointSettings{}
	}
	made, err := s.docker.ContainerCreate(ctx, config, host, networks, nil, namePrefix+uuid)
	if err != nil {
		return fmt.Errorf("create: %w", tenantsFault(err))
	}
	return s.connect(ctx, made.ID, plugged)
}

// connect adds all ports but the first, which engines before API 1.44 take at creation one at most.
func (s *Server) connect(ctx context.Context, containerID string, plugged []pluggedPort) error {
	for _, port := range plugged[min(1, len(plugged)):] {
		if err := s.docker.NetworkConnect(ctx, port.network, containerID, nil); err != nil {
			removal := s.docker.ContainerRemove(ctx, containerID, container.RemoveOptions{Force: true})
			return errors.Join(fmt.Errorf("connect port %s: %w", port.ID, err), removal)
		}
	}
	return nil
}

// deleteInstance removes all that the server has on this host, however far it came. The body may name ports,
// for a cable that has no network yet or any more.
func (s *Server) deleteInstance(_ http.ResponseWriter, r *http.Request) (any, error) {
	var ports agent.Ports
	if err := read(r, &ports); err != nil {
		return nil, err
	}
	return s.alone(r, func(ctx context.Context, uuid string) error {
		found, err := s.find(ctx, uuid)
		switch {
		case err == nil:
			if err := s.remove(ctx, found.ID); err != nil {
				return err
			}
		case fault(err).Code != agent.NoSuchInstance:
			return err
		}
		return s.unplug(ctx, uuid, ports)
	})
}

func (s *Server) remove(ctx context.Context, containerID string) error {
	err := s.docker.ContainerRemove(ctx, containerID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove container %s: %w", containerID[:12], err)
	}
	return nil
}

// resolvers are the DNS servers of the server's subnets, in the order of its ports.
func resolvers(plugged []pluggedPort) []string {
	var servers []string
	seen := map[string]bool{}
	for _, port := range plugged {
		for _, dns := range port.DNS {
			if text := dns.String(); !seen[text] {
				seen[text] = true
				servers = append(servers, text)
			}
		}
	}
	return servers
}

// pluggedPort is a port with the Docker network that stands for it.
type pluggedPort struct {
	network.Port
	network string // its name
	index   int    // 0 is eth0
}
