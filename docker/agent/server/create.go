package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
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
	from, err := s.filesFor(ctx, uuid, spec)
	if err != nil {
		return err
	}
	if err := s.make(ctx, uuid, spec, from, plugged); err != nil {
		return errors.Join(err, s.discard(from.ID)) // which leaves one of Glance alone
	}
	return nil
}

// filesFor is the image that the container is made of.
func (s *Server) filesFor(ctx context.Context, uuid string, spec agent.Spec) (image.InspectResponse, error) {
	if spec.Source == agent.FromAside {
		return s.commitAside(ctx, uuid)
	}
	found, err := s.docker.ImageInspect(ctx, imageTag(spec.ImageID))
	if err != nil {
		return found, fmt.Errorf("look up image %s: %w", spec.ImageID, err)
	}
	// Named anew, it counts as used now.
	return found, s.docker.ImageTag(ctx, found.ID, imageTag(spec.ImageID))
}

func (s *Server) make(ctx context.Context, uuid string, spec agent.Spec, from image.InspectResponse, plugged []pluggedPort) error {
	config, host, err := containerFor(uuid, spec, from.ID)
	if err != nil {
		return err
	}
	if host.Mounts, err = s.mounts(ctx, uuid, spec); err != nil {
		return err
	}
	if err := s.limit(ctx, host, spec, from); err != nil {
		return err
	}
	made, err := s.docker.ContainerCreate(ctx, config, host, join(host, plugged), nil, namePrefix+uuid)
	if err != nil {
		return fmt.Errorf("create: %w", tenantsFault(err))
	}
	err = unheld(made.Warnings)
	if err == nil {
		err = s.connect(ctx, made.ID, plugged)
	}
	if err == nil {
		err = s.inject(ctx, made.ID, spec)
	}
	if err != nil { // half a server would be worse than none
		return errors.Join(err, s.docker.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}
	return nil
}

func (s *Server) mounts(ctx context.Context, uuid string, spec agent.Spec) ([]mount.Mount, error) {
	mounts, err := s.writeConfigDrive(uuid, spec.ConfigDrive)
	if err != nil || spec.Source != agent.Rescue {
		return mounts, err
	}
	own, err := s.mountAside(ctx, uuid)
	return append(mounts, own...), err
}

// join puts the container on its first port: it comes with the container, the others are connected.
func join(host *container.HostConfig, plugged []pluggedPort) *dockernetwork.NetworkingConfig {
	host.DNS = resolvers(plugged)
	networks := &dockernetwork.NetworkingConfig{EndpointsConfig: map[string]*dockernetwork.EndpointSettings{}}
	host.NetworkMode = "none"
	if len(plugged) > 0 {
		host.NetworkMode = container.NetworkMode(plugged[0].network)
		networks.EndpointsConfig[plugged[0].network] = &dockernetwork.EndpointSettings{}
	}
	return networks
}

// connect adds all ports but the first, which engines before API 1.44 take at creation one at most.
func (s *Server) connect(ctx context.Context, containerID string, plugged []pluggedPort) error {
	for _, port := range plugged[min(1, len(plugged)):] {
		if err := s.docker.NetworkConnect(ctx, port.network, containerID, nil); err != nil {
			return fmt.Errorf("connect port %s: %w", port.ID, err)
		}
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
	network   string // its name
	networkID string // Docker's
	index     int    // 0 is eth0
}
