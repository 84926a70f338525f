package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/manifest/manifestlist"
	"github.com/distribution/distribution/v3/manifest/ocischema"
	"github.com/distribution/distribution/v3/manifest/schema2"
	"github.com/distribution/distribution/v3/registry/api/errcode"
	middleware "github.com/distribution/distribution/v3/registry/middleware/repository"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// takeHeaders takes out of the configuration the headers of all answers, which distribution would give to its own only.
func takeHeaders(c *configuration.Configuration) http.Header {
	taken := http.Header{}
	for name, values := range c.HTTP.Headers {
		taken[http.CanonicalHeaderKey(name)] = values
	}
	c.HTTP.Headers = nil
	return taken
}

// withHeaders returns a handler that gives each answer these headers, and answers a browser that asks what it may do.
// That comes without a login: it is told the headers and nothing else, whatever it names, and none of its body is read.
func withHeaders(prefix string, headers http.Header, next http.Handler) http.Handler {
	root := strings.TrimSuffix(prefix, "/") + "/v2/"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), headers.Clone())
		if r.Method == http.MethodOptions && headers.Get("Access-Control-Allow-Origin") != "" && strings.HasPrefix(r.URL.Path, root) {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var (
	pagePattern  = regexp.MustCompile(`^[A-Za-z0-9._/-]{0,255}$`)  // at which name a page of the catalog begins
	rangePattern = regexp.MustCompile(`^[0-9]{1,18}-[0-9]{1,18}$`) // which bytes of an upload a request sends
)

// checkPaths refuses a request that names what cannot be, where distribution answers 404 in its own form, or 500 with
// the storage's path in it.
func checkPaths(prefix string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := parseRoute(prefix, path.Clean(r.URL.Path))
		if why := impossible(r, at); why != nil {
			errcode.ServeJSON(w, why) // a client that is gone is no matter
			return
		}
		if at.kind == "manifests" && !stores(r) {
			acceptAll(r)
		}
		next.ServeHTTP(w, r)
	})
}

// impossible is what is wrong with the names in a request; nil for nothing.
func impossible(r *http.Request, at route) error {
	if at.repository != "" {
		if _, err := reference.WithName(at.repository); err != nil {
			return errcode.ErrorCodeNameInvalid.WithMessage(fmt.Sprintf("no repository can have this name: %v", err))
		}
	}
	sent := r.Header.Get("Content-Range")
	switch {
	case !pagePattern.MatchString(r.URL.Query().Get("last")):
		return errcode.ErrorCodeNameInvalid.WithMessage("no page begins after this name")
	case sent != "" && stores(r) && !rangePattern.MatchString(sent):
		return errcode.ErrorCodeRangeInvalid.WithMessage("the Content-Range of a part of an upload is FIRST-LAST")
	case at.kind == "manifests" && r.Method == http.MethodPut && strings.Contains(at.reference, ":") && !strings.HasPrefix(at.reference, string(digest.Canonical)+":"):
		return errcode.ErrorCodeDigestInvalid.WithMessage("this registry knows manifests by their sha256 digests only: push it by a tag, or by that")
	}
	return nil
}

// acceptAll has a client that takes any kind of manifest, or says nothing of kinds, get what there is. Distribution
// answers 404 unless it names the kind.
func acceptAll(r *http.Request) {
	said := strings.Join(r.Header.Values("Accept"), ",")
	for one := range strings.SplitSeq(said, ",") {
		kind, _, err := mime.ParseMediaType(one)
		if said == "" || err == nil && (kind == "*/*" || kind == "application/*") {
			r.Header["Accept"] = append(r.Header["Accept"], distribution.ManifestMediaTypes()...)
			return
		}
	}
}

// checkedName is what distribution knows the check of manifests by.
const checkedName = "ndock-manifests"

// registerChecked is once for all, since distribution finds middleware by name alone.
var registerChecked = sync.OnceValue(func() error {
	return middleware.Register(checkedName, func(_ context.Context, of distribution.Repository, options map[string]any) (distribution.Repository, error) {
		s, ok := options["store"].(*store)
		if !ok {
			return nil, errors.New("middleware " + checkedName + " is for ndock's own use")
		}
		return &checkedRepository{of, s}, nil
	})
})

// withChecks has the configuration of a registry refuse manifests that are none, and take damaged ones anew.
func withChecks(c *configuration.Configuration, s *store) (*configuration.Configuration, error) {
	checked := *c
	checked.Middleware = map[string][]configuration.Middleware{
		"storage":    c.Middleware["storage"],
		"repository": {{Name: checkedName, Options: configuration.Parameters{"store": s}}},
	}
	return &checked, registerChecked()
}

type checkedRepository struct {
	distribution.Repository
	store *store
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

// Get implements distribution.ManifestService. A damaged manifest counts as missing, as a damaged link does: distribution
// would give what is left of it, or answer 500, as where the storage fails.
func (m *checkedManifests) Get(ctx context.Context, d digest.Digest, options ...distribution.ManifestServiceOption) (distribution.Manifest, error) {
	found, err := readManifest(ctx, m.ManifestService, d, options...)
	if err == nil && isOf(found, d) || absent(err) {
		return found, err
	}
	spoilt, large, cause := m.in.store.spoilt(ctx, d)
	if cause == nil && !spoilt && !large { // it may be mended by now
		found, err = readManifest(ctx, m.ManifestService, d, options...)
		spoilt = wrong(found, d, err)
	}
	switch {
	case cause != nil && err == nil:
		return nil, cause
	case cause != nil, !spoilt && !large:
		return found, err
	}
	name := m.in.Named().Name()
	m.in.store.log.Error("a manifest is damaged and counts as missing: push the image again, or delete it", "repository", name, "digest", d)
	return nil, distribution.ErrManifestUnknownRevision{Name: name, Revision: d}
}

// errNoManifest is for what is stored as a manifest and is none.
var errNoManifest = errors.New("the manifest is none that can be read")

// readManifest reads a manifest. Distribution panics at one that does not say its kind, unless it might be an index.
func readManifest(ctx context.Context, from distribution.ManifestService, d digest.Digest, options ...distribution.ManifestServiceOption) (found distribution.Manifest, err error) {
	panicked := caught(func() error {
		found, err = from.Get(ctx, d, options...)
		return nil
	})
	if panicked != nil {
		return nil, fmt.Errorf("%w: %w", errNoManifest, panicked)
	}
	return found, err
}

// isOf tells whether a manifest has that digest.
func isOf(manifest distribution.Manifest, d digest.Digest) bool {
	_, payload, err := manifest.Payload()
	return err == nil && d == digest.FromBytes(payload)
}

// Put implements distribution.ManifestService. Of what is wrong with a manifest, distribution makes failures like any
// other.
func (m *checkedManifests) Put(ctx context.Context, manifest distribution.Manifest, options ...distribution.ManifestServiceOption) (digest.Digest, error) {
	if err := checkManifest(manifest); err != nil {
		return "", errcode.ErrorCodeManifestInvalid.WithMessage(err.Error())
	}
	if index, ok := manifest.(*ocischema.DeserializedImageIndex); ok {
		withPlatforms(index)
	}
	if err := m.in.store.repair(ctx, manifest); err != nil {
		return "", err
	}
	return m.ManifestService.Put(ctx, manifest, options...)
}

// withPlatforms gives each image of an index a platform, be it one without a name: where the configuration lists the
// platforms that must be there, distribution panics without. What is stored is the index as it came.
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

// checkKind refuses a manifest that does not say its kind, if distribution would read it as another kind than it came as:
// it tries an index first.
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
