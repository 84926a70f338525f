package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"

	"ndock/docker/archive"
	"ndock/openstack"
	"ndock/registry/glance"
)

// glanceProject is the glance.Project of a registry's user: images that are Docker archives, and hidden images that are layers.
type glanceProject struct {
	cloud *openstack.Cloud
	id    string
	log   *slog.Logger
}

var _ glance.Project = glanceProject{}

// ID implements glance.Project.
func (p glanceProject) ID() string { return p.id }

// Layers implements glance.Project.
func (p glanceProject) Layers(ctx context.Context, blobs []digest.Digest) (map[digest.Digest]glance.Blob, error) {
	var names []string
	for _, blob := range blobs {
		names = append(names, string(blob))
	}
	found, err := p.cloud.Layers(ctx, names)
	all := map[digest.Digest]glance.Blob{}
	for _, layer := range found {
		all[digest.Digest(layer.Digest)] = glanceBlob(layer)
	}
	return all, glanceError(err)
}

func glanceBlob(layer openstack.StoredLayer) glance.Blob {
	return glance.Blob{Digest: digest.Digest(layer.Digest), Size: layer.Size, Image: layer.Image}
}

// Memory implements glance.Project: what is sent is inspected meanwhile.
func (p glanceProject) Memory(head []byte) int64 { return archive.FrugalMemory(head) }

// SendLayer implements glance.Project. What is no layer of an image is stored all the same.
func (p glanceProject) SendLayer(ctx context.Context, content io.Reader, complete func() (digest.Digest, error)) (glance.Blob, error) {
	inspected := inspectWhileRead(ctx, content)
	defer inspected.end()
	sent, err := p.cloud.SendLayer(ctx, openstack.LayerUpload{Of: "project " + p.id, Content: inspected, Found: func() (openstack.StoredLayer, error) {
		named, err := complete()
		found := inspected.end()
		return openstack.StoredLayer{Digest: string(named), DiffID: string(found.DiffID), MediaType: found.MediaType, Unpacked: found.Unpacked}, err
	}})
	return glanceBlob(sent), glanceError(err)
}

// Condemn implements glance.Project.
func (p glanceProject) Condemn(ctx context.Context, blob digest.Digest) error {
	return glanceError(p.cloud.CondemnLayer(ctx, string(blob), openstack.ListReader{Read: readList, Retries: defaultRetries}))
}

// Open implements glance.Project.
func (p glanceProject) Open(ctx context.Context, blob glance.Blob, offset int64) (io.ReadCloser, error) {
	if offset < 0 || offset > blob.Size {
		return nil, fmt.Errorf("blob %s has %d bytes, and none from %d on", blob.Digest, blob.Size, offset)
	}
	part, err := p.cloud.OpenPart(ctx, blob.Image, blob.Offset+offset, blob.Size-offset)
	if err != nil {
		return nil, glanceError(err)
	}
	return glancePart{part}, nil
}

// glancePart reads with the errors of a glance.Project.
type glancePart struct{ io.ReadCloser }

// Read implements io.Reader.
func (p glancePart) Read(into []byte) (int, error) {
	n, err := p.ReadCloser.Read(into)
	if err != nil && err != io.EOF {
		err = glanceError(err)
	}
	return n, err
}

// Images implements glance.Project.
func (p glanceProject) Images(ctx context.Context, repository string) ([]glance.Image, error) {
	found, err := p.cloud.ManifestImages(ctx)
	found = slices.DeleteFunc(found, func(image openstack.ManifestImage) bool {
		return repository != "" && image.Repository != repository
	})
	return glanceImages(found), glanceError(err)
}

func glanceImages(found []openstack.ManifestImage) []glance.Image {
	var all []glance.Image
	for _, image := range found {
		all = append(all, glanceImage(image))
	}
	return all
}

func glanceImage(image openstack.ManifestImage) glance.Image {
	return glance.Image{ID: image.ID, Repository: image.Repository, Tag: image.Tag, Digest: digest.Digest(image.Digest), Created: image.Created}
}

// Tagged implements glance.Project.
func (p glanceProject) Tagged(ctx context.Context, repository, tag string) (glance.Image, error) {
	return firstImage(p.cloud.Tagged(ctx, repository, tag))
}

// WithDigest implements glance.Project.
func (p glanceProject) WithDigest(ctx context.Context, repository string, manifest digest.Digest) (glance.Image, error) {
	return firstImage(p.cloud.WithDigest(ctx, repository, string(manifest)))
}

// Referrers implements glance.Project.
func (p glanceProject) Referrers(ctx context.Context, repository string, subject digest.Digest) ([]glance.Image, error) {
	found, err := p.cloud.Referrers(ctx, repository, string(subject))
	return glanceImages(found), glanceError(err)
}

func firstImage(all []openstack.ManifestImage, err error) (glance.Image, error) {
	if err != nil {
		return glance.Image{}, glanceError(err)
	}
	if len(all) == 0 {
		return glance.Image{}, glance.ErrNotFound
	}
	return glanceImage(all[0]), nil
}

// Contents implements glance.Project.
func (p glanceProject) Contents(ctx context.Context, image glance.Image) ([]glance.Blob, error) {
	content, err := p.cloud.OpenImage(ctx, image.ID, defaultRetries)
	if err != nil {
		return nil, glanceError(err)
	}
	defer content.Close()
	sections, err := archive.ReadSections(content)
	if errors.Is(err, openstack.ErrDamaged) {
		return nil, err
	}
	if err != nil {
		return nil, glanceError(err)
	}
	var top, others []glance.Blob
	for _, section := range sections {
		blob := glance.Blob{Digest: section.Digest, Size: section.Size, Image: image.ID, Offset: section.Offset}
		if section.Top {
			top = append(top, blob)
		} else {
			others = append(others, blob)
		}
	}
	if len(top) == 0 {
		return nil, errors.New("the archive does not say which manifest it is of")
	}
	return append(top, others...), nil
}

// Untag implements glance.Project.
func (p glanceProject) Untag(ctx context.Context, image glance.Image) error {
	if image.Tag == "" {
		return nil
	}
	return glanceError(p.cloud.Untag(ctx, image.Repository, image.Tag, image.ID))
}

// Delete implements glance.Project.
func (p glanceProject) Delete(ctx context.Context, image glance.Image) error {
	return glanceError(p.cloud.DeleteManifest(ctx, image.Repository, image.Tag, image.ID))
}

// glanceError says in the registry's words what Glance has not done.
func glanceError(err error) error {
	var answer *openstack.Error
	var name *openstack.NameError
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, openstack.ErrLayersGone):
		return fmt.Errorf("%w: %w", glance.ErrBlobsGone, err)
	case errors.Is(err, openstack.ErrNeeded):
		return fmt.Errorf("%w: %w", glance.ErrNeeded, err)
	case errors.As(err, &name), errors.Is(err, openstack.ErrTooMany), errors.Is(err, openstack.ErrSnapshot), errors.Is(err, openstack.ErrUnreadable):
		return &glance.Refused{Reason: err, Kind: glance.Denied}
	case !errors.As(err, &answer):
		return err
	}
	switch status := answer.Status; {
	case status == http.StatusNotFound:
		return fmt.Errorf("%w: %w", glance.ErrNotFound, err)
	case status == http.StatusUnauthorized:
		return &glance.Refused{Reason: err, Kind: glance.LoginExpired}
	case status == http.StatusForbidden, status == http.StatusRequestEntityTooLarge:
		return &glance.Refused{Reason: err, Kind: glance.Denied}
	case status == 0, status == http.StatusConflict, status == http.StatusGone, status == http.StatusTooManyRequests, status >= http.StatusInternalServerError:
		return &glance.Refused{Reason: err, Kind: glance.Unavailable}
	}
	return err
}
