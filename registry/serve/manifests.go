package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/manifest/manifestlist"
	"github.com/distribution/distribution/v3/manifest/ocischema"
	"github.com/distribution/distribution/v3/manifest/schema2"
	"github.com/distribution/distribution/v3/registry/api/errcode"
	middleware "github.com/distribution/distribution/v3/registry/middleware/repository"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/registry/config"
	"ndock/registry/storage"
)

// withChecks has the registry of the configuration refuse invalid manifests, and take damaged ones again, where they are in a
// storage.
func withChecks(c *configuration.Configuration, s *storage.Store, log *slog.Logger) (*configuration.Configuration, error) {
	checked := *c
	checked.Middleware = map[string][]configuration.Middleware{
		"storage":    c.Middleware["storage"],
		"registry":   c.Middleware["registry"],
		"repository": {{Name: checkedName, Options: configuration.Parameters{"store": s, "log": log}}},
	}
	return &checked, registerChecked()
}

// registerChecked registers the middleware once: distribution finds it by name alone.
var registerChecked = sync.OnceValue(func() error {
	return middleware.Register(checkedName, func(_ context.Context, of distribution.Repository, options map[string]any) (distribution.Repository, error) {
		s, ok := options["store"].(*storage.Store)
		if !ok {
			return nil, errors.New("middleware " + checkedName + " is for ndock's own use")
		}
		log, _ := options["log"].(*slog.Logger)
		return &checkedRepository{of, s, log}, nil
	})
})

// checkedName is the name of the check in distribution's list of middleware.
const checkedName = "ndock-manifests"

// errNoManifest is the error of a stored manifest that cannot be read.
var errNoManifest = errors.New("the manifest is none that can be read")

type checkedRepository struct {
	distribution.Repository
	store *storage.Store // nil where there is none
	log   *slog.Logger
}

// Manifests implements distribution.Repository.
func (r *checkedRepository) Manifests(ctx context.Context, options ...distribution.ManifestServiceOption) (distribution.ManifestService, error) {
	found, err := r.Repository.Manifests(ctx, options...)
	return &checkedManifests{found, r}, err
}

type checkedManifests struct {
	distribution.ManifestService
	in *checkedRepository
}

// Get implements distribution.ManifestService. A damaged manifest counts as missing, as a damaged link does:
// distribution would give what is left of it, or answer 500 as for a failing storage.
func (m *checkedManifests) Get(ctx context.Context, d digest.Digest, options ...distribution.ManifestServiceOption) (distribution.Manifest, error) {
	found, err := readManifest(ctx, m.ManifestService, d, options...)
	if m.in.store == nil || err == nil && isOf(found, d) || absent(err) {
		return found, err
	}
	damaged, large, cause := m.in.store.Damaged(ctx, d)
	if cause == nil && !damaged && !large { // it may be mended by now
		found, err = readManifest(ctx, m.ManifestService, d, options...)
		damaged = isDamaged(found, d, err)
	}
	switch {
	case cause != nil && err == nil:
		return nil, cause
	case cause != nil, !damaged && !large:
		return found, err
	}
	name := m.in.Named().Name()
	m.in.log.Error("a manifest is damaged and counts as missing: push the image again, or delete it", "repository", name, "digest", d)
	return nil, distribution.ErrManifestUnknownRevision{Name: name, Revision: d}
}

// readManifest reads a manifest. Distribution panics at some that do not say their kind.
func readManifest(ctx context.Context, from distribution.ManifestService, d digest.Digest, options ...distribution.ManifestServiceOption) (found distribution.Manifest, err error) {
	panicked := config.CatchPanic(func() error {
		found, err = from.Get(ctx, d, options...)
		return nil
	})
	if panicked != nil {
		return nil, fmt.Errorf("%w: %w", errNoManifest, panicked)
	}
	return found, err
}

// isOf returns whether a manifest has that digest.
func isOf(manifest distribution.Manifest, d digest.Digest) bool {
	_, payload, err := manifest.Payload()
	return err == nil && d == digest.FromBytes(payload)
}

// Put implements distribution.ManifestService. It says what is wrong with a manifest, of which distribution would make
// a 500.
func (m *checkedManifests) Put(ctx context.Context, manifest distribution.Manifest, options ...distribution.ManifestServiceOption) (digest.Digest, error) {
	if err := checkManifest(manifest); err != nil {
		return "", errcode.ErrorCodeManifestInvalid.WithMessage(err.Error())
	}
	if index, ok := manifest.(*ocischema.DeserializedImageIndex); ok {
		withPlatforms(index)
	}
	if m.in.store != nil {
		if err := m.in.store.Repair(ctx, manifest); err != nil {
			return "", err
		}
	}
	return m.ManifestService.Put(ctx, manifest, options...)
}

// withPlatforms gives each image of an index a platform, be it an empty one: distribution panics without, where the
// configuration lists platforms that must exist. The index is stored as it came.
func withPlatforms(index *ocischema.DeserializedImageIndex) {
	for i := range index.Manifests {
		if index.Manifests[i].Platform == nil {
			index.Manifests[i].Platform = &v1.Platform{}
		}
	}
}

func checkManifest(manifest distribution.Manifest) error {
	if version := schemaVersion(manifest); version != 2 {
		return fmt.Errorf("the manifest's schemaVersion is %d, and must be 2", version)
	}
	for _, one := range manifest.References() {
		if err := one.Digest.Validate(); err != nil {
			return fmt.Errorf("the manifest names a blob by %.100q: %w", string(one.Digest), err)
		}
	}
	return checkKind(manifest)
}

// checkKind refuses a manifest that does not say its kind, if distribution would take it for another kind than it came
// as. Distribution tries an index first.
func checkKind(manifest distribution.Manifest) error {
	switch m := manifest.(type) {
	case *ocischema.DeserializedManifest:
		_, payload, err := m.Payload()
		if err == nil && m.MediaType == "" {
			err = new(ocischema.DeserializedImageIndex).UnmarshalJSON(payload)
		}
		return err
	case *ocischema.DeserializedImageIndex:
		if m.MediaType == "" && m.Manifests == nil {
			return errors.New("the index has no list of manifests")
		}
	}
	return nil
}

func schemaVersion(manifest distribution.Manifest) int {
	switch m := manifest.(type) {
	case *ocischema.DeserializedManifest:
		return m.SchemaVersion
	case *ocischema.DeserializedImageIndex:
		return m.SchemaVersion
	case *schema2.DeserializedManifest:
		return m.SchemaVersion
	case *manifestlist.DeserializedManifestList:
		return m.SchemaVersion
	}
	return 0
}
