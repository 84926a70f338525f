package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/docker"
	"ndock/docker/archive"
)

// EngineAPI is what this package needs of Docker Engine.
type EngineAPI interface {
	docker.Engine
	docker.Loader
}

// findInEngine finds an image in the engine. What it sends is not checked again, because the engine has unpacked and
// verified it. In containerd's store images are as they came and may never have been unpacked, so these are checked.
func (t Transports) findInEngine(ctx context.Context, r Reference) (*Source, error) {
	engine, err := t.Engine()
	if err != nil {
		return nil, err
	}
	found, err := docker.FindImage(ctx, engine, r.Name)
	if err != nil {
		return nil, suggestFile(err, r.Name)
	}
	stated := archive.Platform{OS: found.OS, Architecture: found.Architecture, Variant: found.Variant}
	source := &Source{
		Reference: r,
		Metadata: Metadata{
			ID: found.ID, Digest: found.Digest, Tags: found.Tags, Unpacked: found.Size, Size: found.Size, Layers: found.Layers,
			Platform: stated.Or(t.Platform), PlatformAssumed: !stated.IsComplete(),
		},
		options: archive.Options{Platform: t.Platform},
		open: func(ctx context.Context) (io.ReadCloser, error) {
			return docker.SaveImage(ctx, engine, found)
		},
	}
	for _, id := range found.DiffIDs {
		source.diffIDs = append(source.diffIDs, digest.Digest(id))
	}
	if found.Digest != "" {
		source.Unpacked, source.options = 0, t.archiveOptions()
	}
	return source, nil
}

// suggestFile adds a tip to an engine's error where a file or layout has that name.
func suggestFile(err error, name string) error {
	var invalid *docker.Error
	place := fileTransport(name)
	if place == "" || !errors.As(err, &invalid) {
		return err
	}
	return &docker.Error{Op: invalid.Op, Err: invalid.Err, Tip: fmt.Sprintf("there is %q here: %s%s reads it", name, place, name)}
}

// fileTransport returns the prefix for a file or layout of that name, or "".
func fileTransport(name string) string {
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
		return string(DockerArchive) + ":"
	}
	if _, err := os.Stat(filepath.Join(name, ocispec.ImageIndexFile)); err == nil {
		return string(OCILayout) + ":"
	}
	return ""
}

// storeInEngine loads an image and gives it the requested name only. The names in it may be anybody's.
func (t Transports) storeInEngine(ctx context.Context, source *Source, r Reference, watch io.Writer) error {
	engine, err := t.Engine()
	if err != nil {
		return err
	}
	from, err := source.stripTags().Archive(ctx)
	if err != nil {
		return err
	}
	defer from.Close()
	id, err := docker.LoadImage(ctx, engine, io.TeeReader(from, watch))
	if err != nil || r.Name == "" {
		return err
	}
	return docker.TagImage(ctx, engine, id, r.Name)
}

// stripTags returns a copy of the source without tags.
func (s *Source) stripTags() *Source {
	without := *s
	without.tags = nil
	return &without
}
