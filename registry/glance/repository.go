package glance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/reference"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// owner is whose uploads and small blobs something is. What one user has pushed another one of the project may read when it is in
// Glance, if Glance lets him.
type owner struct{ project, user string }

// repository is one repository in one request.
type repository struct {
	*Registry
	name    reference.Named // PROJECT/REPOSITORY
	short   string          // without the project
	login   *Login
	project Project
	owner   owner
	tagged  Image // what the request's tag stands for
}

// Named implements distribution.Repository.
func (r *repository) Named() reference.Named { return r.name }

// Manifests implements distribution.Repository.
func (r *repository) Manifests(context.Context, ...distribution.ManifestServiceOption) (distribution.ManifestService, error) {
	return &manifests{r}, nil
}

// Blobs implements distribution.Repository.
func (r *repository) Blobs(context.Context) distribution.BlobStore { return &blobs{r} }

// Tags implements distribution.Repository.
func (r *repository) Tags(context.Context) distribution.TagService { return &tags{r} }

// sameTag is how many images may have one tag at once: two pushes may end together.
const sameTag = 8

type tags struct{ *repository }

// Get implements distribution.TagService.
func (t *tags) Get(ctx context.Context, tag string) (v1.Descriptor, error) {
	image, err := t.project.Tagged(ctx, t.short, tag)
	if err == nil {
		err = t.checkTop(ctx, image)
	}
	switch {
	case missing(err):
		return v1.Descriptor{}, distribution.ErrTagUnknown{Tag: tag}
	case err != nil:
		return v1.Descriptor{}, t.explain(ctx, "find a tag", err)
	}
	t.tagged = image
	return v1.Descriptor{Digest: image.Digest}, nil
}

// checkTop returns errDamaged for an image that is said to have another manifest than servers boot: the digest is a property, which
// anybody in the project may change.
func (t *tags) checkTop(ctx context.Context, image Image) error {
	if !known256(image.Digest) {
		return ErrNotFound
	}
	blobs, err := t.contents(ctx, image)
	if err != nil || len(blobs) > 0 && blobs[0].Digest == image.Digest {
		return err
	}
	t.log.Error("an image in Glance counts as missing: its docker_image_digest is not that of its manifest", "repository", t.name.Name(), "image", image.ID, "digest", image.Digest)
	return fmt.Errorf("%w: image %s has another manifest", errDamaged, image.ID)
}

// Tag implements distribution.TagService. The manifest was stored with its tag.
func (t *tags) Tag(context.Context, string, v1.Descriptor) error { return nil }

// Untag implements distribution.TagService.
func (t *tags) Untag(ctx context.Context, tag string) error {
	defer t.known.changed(t.owner.project, t.short)
	for done := range sameTag {
		image, err := t.project.Tagged(ctx, t.short, tag)
		if err == nil {
			err = t.project.Untag(ctx, image)
		}
		switch {
		case errors.Is(err, ErrNotFound) && done > 0:
			return nil
		case errors.Is(err, ErrNotFound):
			return distribution.ErrTagUnknown{Tag: tag}
		case err != nil:
			return t.explain(ctx, "take a tag away", err)
		}
	}
	return nil
}

// All implements distribution.TagService.
func (t *tags) All(ctx context.Context) ([]string, error) {
	return t.of(ctx, func(Image) bool { return true })
}

// Lookup implements distribution.TagService.
func (t *tags) Lookup(ctx context.Context, manifest v1.Descriptor) ([]string, error) {
	all, err := t.of(ctx, func(one Image) bool { return one.Digest == manifest.Digest })
	var unknown distribution.ErrRepositoryUnknown
	if errors.As(err, &unknown) {
		return nil, nil
	}
	return all, err
}

// of returns the tags of some images, sorted.
func (t *tags) of(ctx context.Context, wanted func(Image) bool) ([]string, error) {
	images, err := t.project.Images(ctx, t.short)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return nil, t.explain(ctx, "list tags", err)
	case len(images) == 0:
		return nil, distribution.ErrRepositoryUnknown{Name: t.name.Name()}
	}
	var all []string
	for _, one := range images {
		if one.Tag != "" && wanted(one) {
			all = append(all, one.Tag)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// List implements distribution.TagService.
func (t *tags) List(ctx context.Context, limit int, last string) ([]string, error) {
	all, err := t.All(ctx)
	if err != nil {
		return nil, err
	}
	first, found := slices.BinarySearch(all, last)
	if found {
		first++
	}
	all = all[first:]
	if limit < 0 || len(all) <= limit {
		return all, io.EOF
	}
	return all[:limit], nil
}
