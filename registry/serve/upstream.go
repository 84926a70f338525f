package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"sync"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/api/errcode"
	middleware "github.com/distribution/distribution/v3/registry/middleware/repository"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/docker/transfer"
	"ndock/registry/refusal"
	"ndock/registry/storage"
)

// upstreamName is the name of an upstream in distribution's list of middleware.
const upstreamName = "ndock-upstream"

// maxUpstreamText is how much of an upstream's error clients are told.
const maxUpstreamText = 300

// upstream tells clients of a pull-through cache why they do not get what is not cached. Distribution would answer 404
// or 500, whatever the upstream has answered.
type upstream struct {
	url   string
	down  error // why it is not asked at all; nil if it is
	store *storage.Store
	log   *slog.Logger

	maxBlob int64 // bytes that a blob may have; any number when 0
}

// registerUpstream registers the middleware once: distribution finds it by name alone.
var registerUpstream = sync.OnceValue(func() error {
	return middleware.Register(upstreamName, func(_ context.Context, of distribution.Repository, options map[string]any) (distribution.Repository, error) {
		u, ok := options["upstream"].(*upstream)
		if !ok {
			return nil, errors.New("middleware " + upstreamName + " is for ndock's own use")
		}
		return &upstreamRepository{Repository: of, upstream: u}, nil
	})
})

// withUpstream returns the configuration of a cache that tells its clients about the upstream.
func withUpstream(c *configuration.Configuration, u *upstream) *configuration.Configuration {
	told := *c
	told.Middleware = map[string][]configuration.Middleware{
		"storage":    c.Middleware["storage"],
		"repository": {{Name: upstreamName, Options: configuration.Parameters{"upstream": u}}},
	}
	return &told
}

// explain returns the error for a client that asked for something the cache has not got.
func (u *upstream) explain(ctx context.Context, what string, err error) error {
	if u.down != nil && err != nil {
		err = u.down
	}
	var file *fs.PathError
	var stored storagedriver.Error
	var refused *refusal.Refusal
	switch {
	case err == nil, ctx.Err() != nil, errors.As(err, &file), errors.As(err, &stored):
		return err
	}
	said, code := fmt.Sprintf("%.*s", maxUpstreamText, transfer.WithoutQueries(err)), firstCode(err)
	switch {
	case code.Descriptor().HTTPStatusCode == http.StatusNotFound:
		return code.WithMessage(said)
	case absent(err):
		return err
	}
	u.log.Warn("the upstream did not give what was asked for", "upstream", u.url, "asked", what, "error", said)
	if errors.As(err, &refused) {
		return refused.Code.WithMessage(refused.Message)
	}
	said = forClients(err, said)
	switch code {
	case errcode.ErrorCodeTooManyRequests:
		return code.WithMessage(u.url + " takes no more requests of this cache for now: " + said)
	case errcode.ErrorCodeUnauthorized, errcode.ErrorCodeDenied:
		return errcode.ErrorCodeDenied.WithMessage(u.url + " refuses this to the cache, or does not have it: " + said)
	}
	return errcode.ErrorCodeUnavailable.WithMessage(u.url + " does not give this to the cache now, try again later: " + said)
}

// forClients returns what clients may know of an error: not which addresses the cache asked, and with which account.
func forClients(err error, said string) string {
	var request *url.Error
	if errors.As(err, &request) {
		return "it does not answer, and the cache's log says why"
	}
	return said
}

// firstCode returns the code of an upstream's error.
func firstCode(err error) errcode.ErrorCode {
	var many errcode.Errors
	if errors.As(err, &many) && len(many) > 0 {
		err = many[0]
	}
	var one errcode.ErrorCoder
	if errors.As(err, &one) {
		return one.ErrorCode()
	}
	return errcode.ErrorCodeUnknown
}

// absent returns whether an upstream says that it has no such thing.
func absent(err error) bool {
	var tag distribution.ErrTagUnknown
	var revision distribution.ErrManifestUnknownRevision
	var manifest distribution.ErrManifestUnknown
	return errors.Is(err, distribution.ErrBlobUnknown) || errors.As(err, &tag) || errors.As(err, &revision) || errors.As(err, &manifest) ||
		firstCode(err).Descriptor().HTTPStatusCode == http.StatusNotFound
}

// upstreamRepository is a repository of a cache.
type upstreamRepository struct {
	distribution.Repository
	*upstream
}

// Tags implements distribution.Repository.
func (r *upstreamRepository) Tags(ctx context.Context) distribution.TagService {
	return &upstreamTags{TagService: r.Repository.Tags(ctx), upstreamRepository: r}
}

// Manifests implements distribution.Repository.
func (r *upstreamRepository) Manifests(ctx context.Context, options ...distribution.ManifestServiceOption) (distribution.ManifestService, error) {
	found, err := r.Repository.Manifests(ctx, options...)
	return &upstreamManifests{ManifestService: found, upstreamRepository: r}, err
}

// Blobs implements distribution.Repository.
func (r *upstreamRepository) Blobs(ctx context.Context) distribution.BlobStore {
	return &upstreamBlobs{BlobStore: r.Repository.Blobs(ctx), upstreamRepository: r}
}

type upstreamTags struct {
	distribution.TagService
	*upstreamRepository
}

// noManifest is a digest that no manifest has: no manifest is empty.
var noManifest = digest.FromString("")

// Get implements distribution.TagService. Distribution hides why the upstream did not answer; asked for the manifest,
// it says that.
func (t *upstreamTags) Get(ctx context.Context, tag string) (v1.Descriptor, error) {
	ctx, asked := t.startRequest(ctx, "")
	found, err := t.TagService.Get(ctx, tag)
	if err == nil || asked.absent.Load() {
		return found, err
	}
	what := t.Named().Name() + ":" + tag
	if t.down != nil {
		return v1.Descriptor{}, t.explain(ctx, what, err)
	}
	manifests, cause := t.Repository.Manifests(ctx)
	if cause != nil {
		return v1.Descriptor{}, cause
	}
	manifest, cause := manifests.Get(ctx, noManifest, distribution.WithTag(tag))
	switch {
	case cause == nil:
		_, payload, err := manifest.Payload()
		return v1.Descriptor{Digest: digest.FromBytes(payload)}, err
	case absent(cause):
		return v1.Descriptor{}, err
	}
	return v1.Descriptor{}, t.explain(ctx, what, cause)
}

// List implements distribution.TagService.
func (t *upstreamTags) List(ctx context.Context, limit int, last string) ([]string, error) {
	ctx, _ = t.startRequest(ctx, "")
	found, err := t.TagService.List(ctx, limit, last)
	if err == nil && len(found) == 0 {
		err = io.EOF // or distribution looks for the last one of them
	}
	return found, err
}

// All implements distribution.TagService.
func (t *upstreamTags) All(ctx context.Context) ([]string, error) {
	ctx, _ = t.startRequest(ctx, "")
	return t.TagService.All(ctx)
}

type upstreamManifests struct {
	distribution.ManifestService
	*upstreamRepository
}

// Get implements distribution.ManifestService. It repairs a damaged manifest in the cache, which distribution would not
// fetch again.
func (m *upstreamManifests) Get(ctx context.Context, d digest.Digest, options ...distribution.ManifestServiceOption) (distribution.Manifest, error) {
	found, fresh, err := m.read(ctx, d, options...)
	if !fresh && isDamaged(found, d, err) {
		m.store.DropDamaged(ctx, d)
		found, fresh, err = m.read(ctx, d, options...)
	}
	switch {
	case err == nil && fresh:
		m.store.Mend(ctx, found)
	case err == nil && isDamaged(found, d, err):
		found, err = nil, fmt.Errorf("what is cached of manifest %s is damaged, and cannot be removed", d)
	}
	return found, m.explain(ctx, m.Named().Name()+"@"+string(d), err)
}

// read also returns whether the manifest comes from the upstream.
func (m *upstreamManifests) read(ctx context.Context, d digest.Digest, options ...distribution.ManifestServiceOption) (found distribution.Manifest, fresh bool, err error) {
	ctx, asked := m.startRequest(ctx, "")
	found, err = readManifest(ctx, m.ManifestService, d, options...)
	return found, asked.sent.Load(), err
}

// isDamaged returns whether a stored manifest was read and has another digest, or is no manifest.
func isDamaged(found distribution.Manifest, d digest.Digest, err error) bool {
	return errors.Is(err, errNoManifest) || err == nil && !isOf(found, d)
}

type upstreamBlobs struct {
	distribution.BlobStore
	*upstreamRepository
}

// Stat implements distribution.BlobStore.
func (b *upstreamBlobs) Stat(ctx context.Context, d digest.Digest) (v1.Descriptor, error) {
	asking, _ := b.startRequest(ctx, d)
	found, err := b.BlobStore.Stat(asking, d)
	return found, b.explain(ctx, b.Named().Name()+"@"+string(d), err)
}

// ServeBlob implements distribution.BlobStore. On an error it removes the headers of the blob, which distribution sets
// before it has the blob. A blob that has come completely is given also if the cache cannot keep it.
func (b *upstreamBlobs) ServeBlob(ctx context.Context, w http.ResponseWriter, r *http.Request, d digest.Digest) error {
	within, asked := b.startRequest(ctx, d)
	held := newHeldBack(w, asked)
	err := b.BlobStore.ServeBlob(within, held, r, d)
	if err != nil && held.complete() {
		b.log.Error("a blob came from the upstream, and cannot be cached", "repository", b.Named().Name(), "digest", d, "error", transfer.WithoutQueries(err))
		err = nil
	}
	if err == nil {
		err = held.finish()
	}
	if err == nil {
		return nil
	}
	for _, name := range []string{"Content-Length", "Docker-Content-Digest", "Etag"} {
		w.Header().Del(name)
	}
	return b.explain(ctx, b.Named().Name()+"@"+string(d), err)
}
