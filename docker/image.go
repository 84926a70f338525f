// Package docker is what ndock's commands use of Docker Engine: which image a name stands for, and its bytes.
package docker

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// Image is an image of the engine, as far as Glance is to know it.
type Image struct {
	ID           string // sha256:…, computed from its bytes
	Tags         []string
	Architecture string // as Go names it
	Variant      string
	OS           string
	Size         int64 // unpacked, in bytes
	Layers       int
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
	return Image{
		ID: found.ID, Tags: found.RepoTags, Architecture: found.Architecture, Variant: found.Variant, OS: found.Os, Size: found.Size,
		Layers: len(found.RootFS.Layers),
	}, nil
}

// SaveImage returns the image as a Docker archive, to be read to its end and closed.
func SaveImage(ctx context.Context, engine Engine, name string) (io.ReadCloser, error) {
	archive, err := engine.ImageSave(ctx, []string{name})
	if err != nil {
		return nil, explain(fmt.Sprintf("save image %q", name), err)
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
