package instance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/opencontainers/go-digest"

	"ndock/docker"
	"ndock/docker/agent"
	"ndock/docker/agent/diskspace"
	"ndock/docker/archive"
	"ndock/docker/engine"
	"ndock/docker/engine/layerfiles"
)

// Snapshots makes images of servers.
type Snapshots struct {
	engine     engine.Docker
	containers *Containers
	verbs      *verbs
	commits    *commits
	room       diskspace.Room
	held       *heldCommits
	sizes      *layerfiles.Sizes
	whole      bool // layers are never had one by one
	log        *slog.Logger
}

// Take commits the server's container and sends the image, as a Docker archive. The container is paused for the commit
// only, and nothing of the image stays on this host.
func (s *Snapshots) Take(ctx context.Context, uuid string, send func(image agent.Image, archive io.Reader) error) error {
	return s.withCommit(ctx, uuid, func(image agent.Image) error {
		return s.save(ctx, image, func(archive io.Reader) error { return send(image, archive) })
	})
}

// withCommit commits the server's container, and removes the image when do returns.
func (s *Snapshots) withCommit(ctx context.Context, uuid string, do func(image agent.Image) error) error {
	id, done, err := s.commit(ctx, uuid)
	if err != nil {
		return err
	}
	defer func() {
		gone, err := engine.RemoveUnused(s.engine, id)
		if err := errors.Join(err, done(gone)); err != nil {
			s.log.Error("a snapshot's image stays behind", "image", id, "reason", err)
		}
	}()
	found, err := s.engine.ImageInspect(ctx, id)
	if err != nil {
		return err
	}
	return do(agent.Image{ID: found.ID, Architecture: docker.GlanceArchitecture(found.Architecture), Size: found.Size})
}

// save sends the archive of an image. Docker writes a copy of its layers to its disk first.
func (s *Snapshots) save(ctx context.Context, of agent.Image, send func(archive io.Reader) error) error {
	size, known := s.archiveSize(ctx, of)
	return s.room.ForArchive(ctx, size, !known, func(ctx context.Context) error {
		saved, err := s.engine.ImageSave(ctx, []string{of.ID})
		if err != nil {
			return fmt.Errorf("save image %s: %w", of.ID, err)
		}
		defer saved.Close()
		return send(saved)
	})
}

// archiveSize returns how many bytes the layers of an image have as tars. Docker's own figure, for layers whose tars are not known,
// leaves out what a tenant can make large: padding, links, attributes.
func (s *Snapshots) archiveSize(ctx context.Context, of agent.Image) (size int64, known bool) {
	_, layers, err := s.layersOf(ctx, of.ID)
	if err != nil {
		return of.Size, false
	}
	for _, one := range layers {
		size = archive.AddSizes(size, one.Size)
	}
	return size, true
}

// layersOf returns the layers of an image, lowest first. Where they cannot be had one by one the error wraps layerfiles.ErrNotHere.
func (s *Snapshots) layersOf(ctx context.Context, id string) (store layerfiles.Store, layers []layerfiles.Layer, err error) {
	info, err := s.engine.Info(ctx)
	if err != nil {
		return store, nil, fmt.Errorf("ask Docker where it keeps images: %w", err)
	}
	found, err := s.engine.ImageInspect(ctx, id)
	if err != nil {
		return store, nil, err
	}
	var diffIDs []digest.Digest
	for _, one := range found.RootFS.Layers {
		diffIDs = append(diffIDs, digest.Digest(one))
	}
	if store, err = layerfiles.Of(info, s.sizes); err == nil {
		layers, err = store.Layers(ctx, diffIDs)
	}
	return store, layers, err
}

func (s *Snapshots) commit(ctx context.Context, uuid string) (id string, done func(gone bool) error, err error) {
	err = s.verbs.withLock(ctx, uuid, func() error {
		found, err := s.containers.Find(ctx, uuid)
		if absent(err) { // a server that leaves for another host has only a backup here
			found, err = s.containers.backup(ctx, uuid)
		}
		if err != nil {
			return err
		}
		id, done, err = s.commits.commit(ctx, uuid, found.ID, true)
		return err
	})
	return id, done, err
}
