package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/network"
	"ndock/docker/ociruntime"
)

// deleteInstance removes all that the server has on this host, however far it came. The body may name ports,
// for a cable that is written down nowhere. Where the server's container is only replaced, the request says
// what is kept: its ports (keep=ports), or, if there is one, also the container that is set aside (keep=aside).
func (s *Server) deleteInstance(_ http.ResponseWriter, r *http.Request) (any, error) {
	var ports agent.Ports
	if err := read(r, &ports); err != nil {
		return nil, err
	}
	return s.alone(r, func(ctx context.Context, uuid string) error {
		switch r.URL.Query().Get("keep") {
		case "ports":
			return s.removeCurrent(ctx, uuid)
		case "aside":
			if _, err := s.findAside(ctx, uuid); !absent(err) {
				return errors.Join(err, s.removeCurrent(ctx, uuid))
			}
		}
		return s.removeAll(ctx, uuid, ports)
	})
}

func (s *Server) removeAll(ctx context.Context, uuid string, ports agent.Ports) error {
	if err := s.removeCurrent(ctx, uuid); err != nil {
		return err
	}
	if err := s.removeAside(ctx, uuid); err != nil {
		return err
	}
	if err := s.unplug(uuid, ports); err != nil {
		return err // what is left is written down in the server's directory
	}
	return s.removeServerDir(uuid)
}

// remove removes a container of a server, with what only it has used: the image that was committed for it, and the
// volume by which it saw the files of another.
func (s *Server) remove(ctx context.Context, found container.InspectResponse) error {
	if err := s.touch(found.Config.Labels[labelServer]); err != nil {
		return err
	}
	err := s.docker.ContainerRemove(ctx, found.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove container %s: %w", found.ID[:12], err)
	}
	// If runc's hook did not come to it:
	if err := errors.Join(network.Leave(nil, network.Holder(found.ID)), ociruntime.ReleaseNames(filepath.Join(ociruntime.Names, found.ID))); err != nil {
		return err
	}
	uuid := found.Config.Labels[labelServer]
	if found.Name == "/"+namePrefix+uuid {
		if err := s.removeRescueVolume(ctx, uuid); err != nil {
			return err
		}
	}
	return s.removeCommitOf(uuid, found.Image, found.Config.Labels[labelCommit])
}
