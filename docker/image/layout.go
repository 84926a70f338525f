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
	image, err := p.chooseFrom(index, r.Name)
	if err != nil {
		return nil, &docker.Error{Op: op, Err: err}
	}
	source, err := p.fromParts(r, image)
	if err != nil {
		return nil, &docker.Error{Op: op, Err: err}
	}
	return source, nil
}

// chooseFrom goes from an index down to one image: by name at the top, by platform where there are several.
func (p Places) chooseFrom(index v1.ImageIndex, tag string) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	fitting := p.fitting(manifest.Manifests, tag)
	if len(fitting) != 1 {
		return nil, fmt.Errorf("it holds %d images that are meant, of %d; name one by its tag, and --platform", len(fitting), len(manifest.Manifests))
	}
	if !fitting[0].MediaType.IsIndex() {
		return index.Image(fitting[0].Digest)
	}
	inner, err := index.ImageIndex(fitting[0].Digest)
	if err != nil {
		return nil, err
	}
	return p.chooseFrom(inner, "")
}

func (p Places) fitting(all []v1.Descriptor, tag string) []v1.Descriptor {
	var fitting []v1.Descriptor
	for _, one := range all {
		if tag != "" && !archive.Called(one.Annotations, tag) {
			continue
		}
		if of := one.Platform; len(all) > 1 && of != nil && !p.Platform.Matches(archive.Platform{OS: of.OS, Architecture: of.Architecture, Variant: of.Variant}) {
			continue
		}
		fitting = append(fitting, one)
	}
	return fitting
}
