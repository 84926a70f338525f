// Package docker is what ndock's commands use of Docker Engine: which image a name stands for, and its bytes.
package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is an image of the engine, as far as Glance is to know it.
type Image struct {
	ID           string // sha256:… of its configuration; empty where the engine keeps images in containerd's store
	Digest       string // sha256:… of its manifest or index, by which containerd's store knows it; empty elsewhere
	Tags         []string
	Architecture string // as Go names it
	Variant      string
	OS           string
	Size         int64 // unpacked, in bytes; packed in containerd's store
	Layers       int
	DiffIDs      []string // sha256:… of the layers, lowest first

	chosen bool // its engine may have it for several platforms, and can be asked for one
}

// Engine is what this package uses of Docker Engine.
type Engine interface {
	ImageInspect(ctx context.Context, id string, options ...client.ImageInspectOption) (image.InspectResponse, error)
	ImageSave(ctx context.Context, ids []string, options ...client.ImageSaveOption) (io.ReadCloser, error)
}

var _ Engine = (*client.Client)(nil)

// FindImage looks up an image by name or id.
func FindImage(ctx context.Context, engine Engine, name string) (Image, error) {
	found, err := engine.ImageInspect(ctx, name)
	switch {
	case errdefs.IsNotFound(err):
		return Image{}, &Error{Op: fmt.Sprintf("image %q", name), Err: errors.New("the engine has no such image"), Tip: "docker pull " + name}
	case err != nil:
		return Image{}, explain(fmt.Sprintf("image %q", name), err)
	}
	image := Image{
		ID: found.ID, Tags: found.RepoTags, Architecture: found.Architecture, Variant: found.Variant, OS: found.Os, Size: found.Size,
		Layers: len(found.RootFS.Layers), DiffIDs: found.RootFS.Layers, chosen: found.Descriptor != nil,
	}
	if inContainerd(found) {
		image.ID, image.Digest = "", found.ID
	}
	return image, nil
}

// inContainerd tells whether the image is in containerd's image store, which Docker Engine has had since 23 and prefers
// since 29: from 28 on it has a descriptor there, and before that its id is the digest by which registries know it.
func inContainerd(found image.InspectResponse) bool {
	return found.Descriptor != nil || slices.ContainsFunc(found.RepoDigests, func(name string) bool {
		return strings.HasSuffix(name, "@"+found.ID)
	})
}

// SaveImage returns the image as a Docker archive, to be read to its end and closed.
func SaveImage(ctx context.Context, engine Engine, image Image) (io.ReadCloser, error) {
	id := cmp.Or(image.ID, image.Digest)
	var options []client.ImageSaveOption
	if image.chosen {
		options = append(options, client.ImageSaveWithPlatforms(ocispec.Platform{OS: image.OS, Architecture: image.Architecture, Variant: image.Variant}))
	}
	archive, err := engine.ImageSave(ctx, []string{id}, options...)
	if err != nil {
		return nil, explain(fmt.Sprintf("save image %q", id), err)
	}
	return archive, nil
}

// GlanceArchitecture translates the name of a processor architecture from Go's, which Docker uses for images, to
// the kernel's, which Nova and Glance use.
func GlanceArchitecture(name string) string {
	switch name {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	case "386":
		return "i686"
	case "arm":
		return "armv7l"
	}
	return name
}
