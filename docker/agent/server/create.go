package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"

	"ndock/docker/agent"
	"ndock/docker/network"
)

// putInstance makes the server's container, and does not start it.
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
	from, done, err := s.filesFor(ctx, uuid, spec)
	if err != nil {
		return err
	}
	defer done()
	if err := s.make(ctx, uuid, spec, from); err != nil {
		return errors.Join(err, s.discard(from.ID)) // which leaves one of Glance alone
	}
	return nil
}

// filesFor is the image that the container is made of. The caller says when he is through with it.
func (s *Server) filesFor(ctx context.Context, uuid string, spec agent.Spec) (from image.InspectResponse, done func(), err error) {
	if spec.Source == agent.FromAside {
		return s.commitAside(ctx, uuid)
	}
	if !uuidPattern.MatchString(spec.ImageID) { // it could name an image that is not Glance's
		return from, nil, badRequest("%q is no image's id", spec.ImageID)
	}
	from, err = s.docker.ImageInspect(ctx, imageTag(spec.ImageID))
	if err != nil {
		return from, nil, fmt.Errorf("look up image %s: %w", spec.ImageID, err)
	}
	if spec.New {
		if err := fitsFlavor(from.Size, int64(spec.RootGB)); err != nil {
			return from, nil, err
		}
	}
	// Named anew, it counts as used now.
	return from, func() {}, s.docker.ImageTag(ctx, from.ID, imageTag(spec.ImageID))
}

func (s *Server) make(ctx context.Context, uuid string, spec agent.Spec, from image.InspectResponse) error {
	config, host, err := containerFor(uuid, spec, from.ID)
	if err != nil {
		return err
	}
	config.Healthcheck = healthcheckOf(from, s.rules, s.docker.ClientVersion())
	if host.Mounts, err = s.mounts(ctx, uuid, spec, config); err != nil {
		return err
	}
	if err := s.limit(ctx, host, spec, from); err != nil {
		return err
	}
	if err := s.noteEngine(ctx, uuid); err != nil {
		return err
	}
	made, err := s.docker.ContainerCreate(ctx, config, host, nil, nil, namePrefix+uuid)
	if err != nil {
		return fmt.Errorf("create: %w", tenantsFault(err))
	}
	err = unheld(made.Warnings)
	if err == nil {
		err = s.inject(ctx, uuid, made.ID, spec)
	}
	if err != nil { // half a server would be worse than none
		return errors.Join(err, s.docker.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}
	return nil
}

// mounts are what a container sees of its server's directory, and of the container that is set aside.
func (s *Server) mounts(ctx context.Context, uuid string, spec agent.Spec, of *container.Config) ([]mount.Mount, error) {
	drive, err := s.writeConfigDrive(uuid, spec.ConfigDrive)
	if err != nil {
		return nil, err
	}
	names, err := s.nameFiles(uuid, of.Hostname, of.Labels[labelDomain])
	if err != nil || spec.Source != agent.Rescue {
		return append(drive, names...), err
	}
	own, err := s.mountAside(ctx, uuid)
	return slices.Concat(drive, names, own), err
}

// nameFiles writes what Docker would otherwise write itself, see network.NameFiles. The container gets copies of them
// when it starts, see ociruntime.Names.
func (s *Server) nameFiles(uuid, hostname, domain string) ([]mount.Mount, error) {
	if err := s.plug(uuid, nil, false); err != nil { // that a server has no ports is written down too
		return nil, err
	}
	if err := s.writeNames(uuid, s.serverDir(uuid), hostname, domain); err != nil {
		return nil, err
	}
	var mounts []mount.Mount
	files := network.NameFiles(s.serverDir(uuid))
	for _, source := range slices.Sorted(maps.Keys(files)) {
		mounts = append(mounts, mount.Mount{Type: mount.TypeBind, Source: source, Target: files[source]})
	}
	return mounts, nil
}

func (s *Server) writeNames(uuid, dir, hostname, domain string) error {
	ports, err := s.fittingPorts(uuid)
	if err != nil {
		return err
	}
	if err := network.WriteNames(dir, hostname, domain, ports); err != nil {
		return fmt.Errorf("write the names that server %s knows: %w", uuid, err)
	}
	return nil
}

// refreshNames writes them anew for a container that is there. One that runs has copies of its own; not so if it was
// started by an earlier release.
func (s *Server) refreshNames(found container.InspectResponse) error {
	uuid, domain := found.Config.Labels[labelServer], found.Config.Labels[labelDomain]
	if err := s.writeNames(uuid, s.serverDir(uuid), found.Config.Hostname, domain); err != nil {
		return err
	}
	copies := filepath.Join(s.names, found.ID)
	if _, err := os.Stat(copies); !found.State.Running || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return s.writeNames(uuid, copies, found.Config.Hostname, domain)
}
