package glance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/manifest/manifestlist"
	"github.com/distribution/distribution/v3/manifest/ocischema"
	_ "github.com/distribution/distribution/v3/manifest/schema2" // which UnmarshalManifest knows then
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// MaxManifest is the largest size of a manifest in bytes: distribution's limit.
const MaxManifest = 4 << 20

type manifests struct{ *repository }

// Exists implements distribution.ManifestService.
func (m *manifests) Exists(ctx context.Context, d digest.Digest) (bool, error) {
	_, err := m.Get(ctx, d)
	var unknown distribution.ErrManifestUnknownRevision
	if errors.As(err, &unknown) {
		return false, nil
	}
	return err == nil, err
}

// Get implements distribution.ManifestService.
func (m *manifests) Get(ctx context.Context, d digest.Digest, _ ...distribution.ManifestServiceOption) (distribution.Manifest, error) {
	if asked := requestOf(ctx); asked.Referrers {
		return m.referrers(ctx, d, asked.ArtifactType)
	}
	payload, err := m.payload(ctx, d)
	if errors.Is(err, ErrNotFound) {
		return nil, distribution.ErrManifestUnknownRevision{Name: m.name.Name(), Revision: d}
	}
	if err != nil {
		return nil, m.explain(ctx, "read a manifest", err)
	}
	found, err := parse(payload)
	if err != nil {
		m.log.Error("a blob in Glance is no manifest, and counts as missing", "repository", m.name.Name(), "digest", d, "error", err)
		return nil, distribution.ErrManifestUnknownRevision{Name: m.name.Name(), Revision: d}
	}
	return found, nil
}

// payload returns the bytes of a manifest, which have that digest; ErrNotFound where there are none.
func (m *manifests) payload(ctx context.Context, d digest.Digest) ([]byte, error) {
	if !known256(d) {
		return nil, ErrNotFound
	}
	image, err := m.tagged, error(nil)
	if image.Digest != d {
		image, err = m.project.WithDigest(ctx, m.short, d)
	}
	if err == nil {
		var content []byte
		if content, err = m.manifestOf(ctx, image, d); err == nil {
			return content, nil
		}
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	inside, err := m.findInside(ctx, d) // of an index
	if errors.Is(err, distribution.ErrBlobUnknown) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return m.readManifest(ctx, inside)
}

// manifestOf reads a manifest out of an image.
func (m *manifests) manifestOf(ctx context.Context, image Image, d digest.Digest) ([]byte, error) {
	blobs, err := m.contents(ctx, image)
	if err != nil {
		return nil, m.orMissing(err)
	}
	for _, one := range blobs {
		if one.Digest == d {
			return m.readManifest(ctx, one)
		}
	}
	return nil, ErrNotFound
}

func (m *manifests) readManifest(ctx context.Context, at Blob) ([]byte, error) {
	content, err := m.read(ctx, located{Blob: at}, MaxManifest)
	if err == nil && tooManyElements(content) {
		m.log.Warn("a blob in Glance is no manifest, and counts as missing: it has too many elements", "repository", m.name.Name(), "digest", at.Digest)
		return nil, ErrNotFound
	}
	return content, m.orMissing(err)
}

// orMissing has what is damaged count as missing, so that it can be pushed again.
func (m *manifests) orMissing(err error) error {
	if errors.Is(err, errDamaged) {
		return ErrNotFound
	}
	return err
}

// Delete implements distribution.ManifestService: all images with the manifest go.
func (m *manifests) Delete(ctx context.Context, d digest.Digest) error {
	images, err := m.imagesNow(ctx)
	if err != nil {
		return err
	}
	defer m.known.changed(m.owner.project, m.short)
	deleted := 0
	for _, one := range images {
		if one.Digest != d {
			continue
		}
		m.known.gone(m.owner.project, Blob{Image: one.ID})
		switch err := m.project.Delete(ctx, one); {
		case err == nil:
			deleted++
		case !errors.Is(err, ErrNotFound):
			return m.explain(ctx, "delete an image", err)
		}
	}
	if deleted == 0 {
		return distribution.ErrBlobUnknown // which stands for a manifest, too
	}
	return nil
}

// parse reads a stored manifest, which may not say its kind.
func parse(payload []byte) (distribution.Manifest, error) {
	var kind struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Manifests     []json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(payload, &kind); err != nil {
		return nil, err
	}
	switch {
	case kind.SchemaVersion != 2:
		return nil, fmt.Errorf("its schemaVersion is %d", kind.SchemaVersion)
	case kind.MediaType == "" && kind.Manifests != nil:
		kind.MediaType = v1.MediaTypeImageIndex
	case kind.MediaType == "":
		kind.MediaType = v1.MediaTypeImageManifest
	}
	found, _, err := distribution.UnmarshalManifest(kind.MediaType, payload)
	return found, err
}

// isIndex returns whether a manifest is about other manifests.
func isIndex(manifest distribution.Manifest) bool {
	switch manifest.(type) {
	case *ocischema.DeserializedImageIndex, *manifestlist.DeserializedManifestList:
		return true
	}
	return false
}

// subjectOf returns the manifest that one is about; "" for none.
func subjectOf(payload []byte) digest.Digest {
	var said struct {
		Subject *v1.Descriptor `json:"subject"`
	}
	if err := json.Unmarshal(payload, &said); err != nil || said.Subject == nil || said.Subject.Digest.Validate() != nil {
		return ""
	}
	return said.Subject.Digest
}
