package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/docker"
	"ndock/docker/archive"
)

// findLayout looks into an OCI layout, a directory.
func (t Transports) findLayout(ctx context.Context, r Reference) (*Source, error) {
	op := fmt.Sprintf("image %q", r)
	index, err := layoutDir{ctx, r.Path}.readIndex()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &docker.Error{Op: op, Err: fmt.Errorf("%q is no OCI layout: %w", r.Path, err)}
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, &docker.Error{Op: op, Err: fmt.Errorf("%q is a file", r.Path), Tip: "oci-archive:" + r.Path + " or docker-archive:" + r.Path + " reads an archive"}
	}
	if err != nil {
		return nil, &docker.Error{Op: op, Err: err}
	}
	image, platform, err := t.selectImage(index, r.Name)
	if err != nil {
		return nil, &docker.Error{Op: op, Err: err}
	}
	source, err := t.layeredSource(r, image, platform)
	if err != nil {
		return nil, &docker.Error{Op: op, Err: err}
	}
	return source, nil
}

// chooseFrom finds the one image of a layout that is meant, by its name or as the only one. It returns what the index says of the
// platform.
func (t Transports) selectImage(index v1.ImageIndex, tag string) (v1.Image, archive.Platform, error) {
	checks := t.archiveOptions()
	checks.Name = tag
	meant, all, err := matchingManifests(index, checks, true)
	if err != nil {
		return nil, archive.Platform{}, err
	}
	if len(meant) != 1 {
		return nil, archive.Platform{}, fmt.Errorf("it holds %d images that are meant, of %d; name one by its tag, and --platform", len(meant), len(all))
	}
	return t.loadImage(index, meant[0], 0)
}

// imageIn is the image for the platform in an index. Of several, the first is taken, as others do, where none is for its very
// variant. It returns what the index says of the platform.
func (t Transports) platformImage(index v1.ImageIndex, depth int) (v1.Image, archive.Platform, error) {
	meant, all, err := matchingManifests(index, t.archiveOptions(), false)
	if err != nil {
		return nil, archive.Platform{}, err
	}
	if len(meant) == 0 {
		return nil, archive.Platform{}, fmt.Errorf("it has no image for %s, but for: %s", t.Platform, platformList(all))
	}
	return t.loadImage(index, meant[0], depth)
}

// listed are those in an index that are meant, and all.
func matchingManifests(index v1.ImageIndex, checks archive.Options, top bool) (meant, all []ocispec.Descriptor, err error) {
	text, err := index.RawManifest()
	if err != nil {
		return nil, nil, err
	}
	found, err := archive.ParseIndex(text)
	return archive.MatchingManifests(found.Manifests, checks, top), found.Manifests, err
}

// indexDepth is how deep an index may lie in others.
const indexDepth = 3

func (t Transports) loadImage(index v1.ImageIndex, one ocispec.Descriptor, depth int) (v1.Image, archive.Platform, error) {
	digest, err := v1.NewHash(string(one.Digest))
	if err != nil {
		return nil, archive.Platform{}, err
	}
	if !types.MediaType(one.MediaType).IsIndex() {
		image, err := index.Image(digest)
		return image, archive.DescriptorPlatform(one), err
	}
	if depth == indexDepth {
		return nil, archive.Platform{}, fmt.Errorf("an index of its lies in more than %d others", indexDepth)
	}
	inner, err := index.ImageIndex(digest)
	if err != nil {
		return nil, archive.Platform{}, err
	}
	return t.platformImage(inner, depth+1)
}
