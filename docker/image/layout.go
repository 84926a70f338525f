package image

import (
	"errors"
	"fmt"
	"io/fs"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"ndock/docker"
	"ndock/docker/archive"
)

// findLayout looks into an OCI layout, a directory.
func (p Places) findLayout(r Reference) (*Source, error) {
	op := fmt.Sprintf("image %q", r)
	index, err := layout.ImageIndexFromPath(r.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &docker.Error{Op: op, Err: fmt.Errorf("%q is no OCI layout: %w", r.Path, err)}
	}
	if err != nil {
		return nil, &docker.Error{Op: op, Err: err}
	}
	image, platform, err := p.chooseFrom(index, r.Name)
	if err != nil {
		return nil, &docker.Error{Op: op, Err: err}
	}
	source, err := p.fromParts(r, image, platform)
	if err != nil {
		return nil, &docker.Error{Op: op, Err: err}
	}
	return source, nil
}

// chooseFrom goes from an index down to one image: by name at the top, by platform where there are several. It returns what
// the index says of the platform.
func (p Places) chooseFrom(index v1.ImageIndex, tag string) (v1.Image, archive.Platform, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, archive.Platform{}, err
	}
	fitting := p.fitting(manifest.Manifests, tag)
	if len(fitting) != 1 {
		return nil, archive.Platform{}, fmt.Errorf("it holds %d images that are meant, of %d; name one by its tag, and --platform", len(fitting), len(manifest.Manifests))
	}
	if !fitting[0].MediaType.IsIndex() {
		image, err := index.Image(fitting[0].Digest)
		return image, platformOf(fitting[0]), err
	}
	inner, err := index.ImageIndex(fitting[0].Digest)
	if err != nil {
		return nil, archive.Platform{}, err
	}
	return p.chooseFrom(inner, "")
}

func platformOf(one v1.Descriptor) archive.Platform {
	if one.Platform == nil {
		return archive.Platform{}
	}
	return archive.Platform{OS: one.Platform.OS, Architecture: one.Platform.Architecture, Variant: one.Platform.Variant}
}

func (p Places) fitting(all []v1.Descriptor, tag string) []v1.Descriptor {
	var fitting []v1.Descriptor
	for _, one := range all {
		if tag != "" && !archive.Called(one.Annotations, tag) {
			continue
		}
		if len(all) > 1 && one.Platform != nil && !p.Platform.Matches(platformOf(one)) {
			continue
		}
		fitting = append(fitting, one)
	}
	return fitting
}
