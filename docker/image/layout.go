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

// findLayout finds an image in an OCI layout, which is a directory.
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

// selectImage returns the image of a layout with this tag, or the only one. It also returns the platform that the
// index states.
func (t Transports) selectImage(index v1.ImageIndex, tag string) (v1.Image, archive.Platform, error) {
	options := t.archiveOptions()
	options.Name = tag
	matching, all, err := matchingManifests(index, options, true)
	if err != nil {
		return nil, archive.Platform{}, err
	}
	if len(matching) != 1 {
		return nil, archive.Platform{}, fmt.Errorf("%d of its %d images match: name one by its tag, or give --platform", len(matching), len(all))
	}
	return t.loadImage(index, matching[0], 0)
}

// platformImage returns the image of an index for the platform. If several fit and none has the exact variant, it
// takes the first, as other tools do. It also returns the platform that the index states.
func (t Transports) platformImage(index v1.ImageIndex, depth int) (v1.Image, archive.Platform, error) {
	matching, all, err := matchingManifests(index, t.archiveOptions(), false)
	if err != nil {
		return nil, archive.Platform{}, err
	}
	if len(matching) == 0 {
		return nil, archive.Platform{}, fmt.Errorf("it has no image for %s; it has images for %s", t.Platform, archive.Platforms(all))
	}
	return t.loadImage(index, matching[0], depth)
}

// matchingManifests returns the entries of an index that match, and all of its entries.
func matchingManifests(index v1.ImageIndex, options archive.Options, top bool) (matching, all []ocispec.Descriptor, err error) {
	text, err := index.RawManifest()
	if err != nil {
		return nil, nil, err
	}
	found, err := archive.ParseIndex(text)
	return archive.MatchingManifests(found.Manifests, options, top), found.Manifests, err
}

// indexDepth is how deep indexes may be nested.
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
		return nil, archive.Platform{}, fmt.Errorf("its indexes are nested more than %d deep", indexDepth)
	}
	inner, err := index.ImageIndex(digest)
	if err != nil {
		return nil, archive.Platform{}, err
	}
	return t.platformImage(inner, depth+1)
}
