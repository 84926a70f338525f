package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"ndock/docker/agent"
)

// asideName is what a server's container is called while another takes its place: in a resize until that is
// confirmed, and while the server is rescued. It is on no list of servers, and its end is no event.
func asideName(uuid string) string { return namePrefix + uuid + "-aside" }

// setAside stops the server's container, as endFor does, and puts it aside. Done already, it does nothing.
func (s *Server) setAside(_ http.ResponseWriter, r *http.Request) (any, error) {
	grace, err := graceOf(r)
	if err != nil {
		return nil, err
	}
	return s.alone(r, func(ctx context.Context, uuid string) error {
		found, err := s.find(ctx, uuid)
		if absent(err) {
			_, err = s.findAside(ctx, uuid)
			return err
		}
		if err != nil {
			return err
		}
		if _, err := s.findAside(ctx, uuid); !absent(err) {
			return errors.Join(badRequest("server %s has a container set aside already", uuid), err)
		}
		if err := s.endFor(ctx, r, found, grace); err != nil {
			return err
		}
		return s.docker.ContainerRename(ctx, found.ID, asideName(uuid))
	})
}

// restore brings the container back that was set aside, in the place of the one that the server has now.
func (s *Server) restore(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.alone(r, func(ctx context.Context, uuid string) error {
		aside, err := s.findAside(ctx, uuid)
		if err != nil {
			return err
		}
		return s.bringBack(ctx, uuid, aside)
	})
}

func (s *Server) bringBack(ctx context.Context, uuid string, aside container.InspectResponse) error {
	if err := s.removeCurrent(ctx, uuid); err != nil {
		return err
	}
	if err := s.docker.ContainerRename(ctx, aside.ID, namePrefix+uuid); err != nil {
		return fmt.Errorf("bring back the container that was set aside: %w", err)
	}
	return nil
}

// discardAside is for a resize that is confirmed. Where the server has gone to another host, its ports go too.
func (s *Server) discardAside(_ http.ResponseWriter, r *http.Request) (any, error) {
	var ports agent.Ports
	if err := read(r, &ports); err != nil {
		return nil, err
	}
	return s.alone(r, func(ctx context.Context, uuid string) error {
		if err := s.removeAside(ctx, uuid); err != nil {
			return err
		}
		if _, err := s.find(ctx, uuid); !absent(err) {
			return err
		}
		return s.removeAll(ctx, uuid, ports)
	})
}

// commitAside makes an image of the files of the container that is set aside. It has no name, and goes with the
// container that is made of it. The caller says when he is through with it.
func (s *Server) commitAside(ctx context.Context, uuid string) (made image.InspectResponse, done func(), err error) {
	aside, err := s.findAside(ctx, uuid)
	if err != nil {
		return made, nil, err
	}
	id, end, err := s.commitContainer(ctx, uuid, aside.ID, false)
	if err != nil {
		return made, nil, err
	}
	made, err = s.docker.ImageInspect(ctx, id)
	if err != nil {
		gone, failed := s.removeUnused(id)
		return made, nil, errors.Join(err, failed, end(gone))
	}
	return made, func() { _ = end(false) }, nil // it stays written down: nothing is done that could fail
}

func (s *Server) removeAside(ctx context.Context, uuid string) error {
	return s.removeNamed(ctx, asideName(uuid), uuid)
}

func (s *Server) removeCurrent(ctx context.Context, uuid string) error {
	return s.removeNamed(ctx, namePrefix+uuid, uuid)
}

func (s *Server) removeNamed(ctx context.Context, name, uuid string) error {
	found, err := s.findNamed(ctx, name, uuid)
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.remove(ctx, found)
}

// findAside returns the container that is set aside for a server, or a fault.
func (s *Server) findAside(ctx context.Context, uuid string) (container.InspectResponse, error) {
	return s.findNamed(ctx, asideName(uuid), uuid)
}

// revive brings a server's container back that was set aside and whose successor never came: the agent was killed, or
// the host lost power, in between.
func (s *Server) revive(ctx context.Context, uuid string) (container.InspectResponse, error) {
	found, err := s.find(ctx, uuid)
	if !absent(err) {
		return found, err
	}
	aside, missing := s.findAside(ctx, uuid)
	if missing != nil {
		return found, err
	}
	s.log.Warn("a container that was set aside comes back: its successor is not there", "server", uuid)
	if err := s.docker.ContainerRename(ctx, aside.ID, namePrefix+uuid); err != nil {
		return found, err
	}
	return s.find(ctx, uuid)
}

// absent tells a server without a container from all that can go wrong.
func absent(err error) bool { return err != nil && fault(err).Code == agent.NoSuchInstance }
