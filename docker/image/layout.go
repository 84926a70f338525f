package image

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"ndock/docker"
	"ndock/docker/archive"
)

// findLayout looks into an OCI layout, a directory.
func (p Places) findLayout(r Reference) (*Source, error) {
	op := fmt.Sprintf("image %q", r)
	index, err := layoutDir(r.Path).index()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &docker.Error{Op: op, Err: fmt.Errorf("%q is no OCI layout: %w", r.Path, err)}
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, &docker.Error{Op: op, Err: fmt.Errorf("%q is a file", r.Path), Tip: "oci-archive:" + r.Path + " or docker-archive:" + r.Path + " reads an archive"}
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

// chooseFrom finds the one image of a layout that is meant, by its name or as the only one. It returns what the index says of the
// platform.
func (p Places) chooseFrom(index v1.ImageIndex, tag string) (v1.Image, archive.Platform, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, archive.Platform{}, err
	}
	fitting := p.best(p.fitting(manifest.Manifests, tag))
	if len(fitting) != 1 {
		return nil, archive.Platform{}, fmt.Errorf("it holds %d images that are meant, of %d; name one by its tag, and --platform", len(fitting), len(manifest.Manifests))
	}
	return p.imageAt(index, fitting[0], 0)
}

// imageIn is the image for the platform in an index. Of several, the first is taken, as others do, where none is for its very
// variant. It returns what the index says of the platform.
func (p Places) imageIn(index v1.ImageIndex, depth int) (v1.Image, archive.Platform, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, archive.Platform{}, err
	}
	fitting := p.best(p.fitting(manifest.Manifests, ""))
	if len(fitting) == 0 {
		return nil, archive.Platform{}, fmt.Errorf("it has no image for %s, but for: %s", p.Platform, platforms(manifest.Manifests))
	}
	return p.imageAt(index, fitting[0], depth)
}

// indexDepth is how deep an index may lie in others.
const indexDepth = 3

func (p Places) imageAt(index v1.ImageIndex, one v1.Descriptor, depth int) (v1.Image, archive.Platform, error) {
	if !one.MediaType.IsIndex() {
		image, err := index.Image(one.Digest)
		return image, platformOf(one), err
	}
	if depth == indexDepth {
		return nil, archive.Platform{}, fmt.Errorf("an index of its lies in more than %d others", indexDepth)
	}
	inner, err := index.ImageIndex(one.Digest)
	if err != nil {
		return nil, archive.Platform{}, err
	}
	return p.imageIn(inner, depth+1)
}

// best leaves of several for the platform the one of its very variant, as of amd64 and amd64/v3 the first.
func (p Places) best(fitting []v1.Descriptor) []v1.Descriptor {
	return archive.Exact(fitting, func(one v1.Descriptor) bool { return platformOf(one).Variant == p.Platform.Variant })
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
		if !slices.ContainsFunc(fitting, func(other v1.Descriptor) bool { return other.Digest == one.Digest }) { // it may have several names
			fitting = append(fitting, one)
		}
	}
	return fitting
}
