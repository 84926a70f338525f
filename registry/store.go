package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/configuration"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	storagemiddleware "github.com/distribution/distribution/v3/registry/storage/driver/middleware"
	"github.com/opencontainers/go-digest"

	"ndock/registry/gc"
)

// maxManifest is how large a manifest may be: distribution's limit.
const maxManifest = 4 << 20

// middlewareName is what distribution knows a store by.
const middlewareName = "ndock"

// A store stands between distribution and its storage. It remembers when there was no room left, which distribution
// answers like any other failure, and lets the storage be tried.
type store struct {
	storagedriver.StorageDriver
	once    sync.Once // sets the driver
	log     *slog.Logger
	full    atomic.Int64 // when there last was no room, in nanoseconds
	quota   *quota
	writing sync.Map // the request that writes to a file now, by the file's path
	mending sync.Mutex

	renewAfter time.Duration // of a tag's link that a cache reads; zero for never
}

// registerStore is once for all, since distribution finds middleware by name alone.
var registerStore = sync.OnceValue(func() error {
	return storagemiddleware.Register(middlewareName, func(_ context.Context, driver storagedriver.StorageDriver, options map[string]any) (storagedriver.StorageDriver, error) {
		s, ok := options["store"].(*store)
		if !ok {
			return nil, errors.New("middleware " + middlewareName + " is for ndock's own use")
		}
		s.once.Do(func() { s.StorageDriver = driver }) // which serves while a cache makes its next registry of the same
		return s, nil
	})
})

// newStore has the configuration put a store before its storage and what is before that already, once a registry is
// made of it. What is stored in a directory is synced. A namespace may take so many bytes, any number when 0, and have so
// many uploads open.
func newStore(c *configuration.Configuration, bytes int64, uploads int, log *slog.Logger) (*store, error) {
	if err := errors.Join(registerStore(), registerFsync()); err != nil {
		return nil, err
	}
	s := &store{log: log, renewAfter: renewAfter(c)}
	s.quota = newQuota(bytes, uploads, s)
	all := c.Middleware["storage"]
	if dir, ok := c.Storage["filesystem"]["rootdirectory"].(string); ok {
		all = append([]configuration.Middleware{fsyncMiddleware(dir)}, all...)
	}
	c.Middleware = map[string][]configuration.Middleware{
		"storage": append(all, configuration.Middleware{Name: middlewareName, Options: configuration.Parameters{"store": s}}),
	}
	return s, nil
}

// joinNamespaces has a project's id and its name be one namespace.
func (s *store) joinNamespaces(id, name string) { s.quota.join(id, name) }

// recount has what namespaces take counted again, since something was removed.
func (s *store) recount() { s.quota.forgetAll() }

// dropUpload removes what came of an upload.
func (s *store) dropUpload(ctx context.Context, repository, id string) error {
	path := gc.RootRepositories + "/" + repository + "/_uploads/" + id
	if err := unlessNotFound(s.Delete(ctx, path)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// note remembers that an error was for want of room, and returns it.
func (s *store) note(err error) error {
	if outOfSpace(err) {
		s.full.Store(time.Now().UnixNano())
	}
	return err
}

// fullSince tells whether there was no room at some time since.
func (s *store) fullSince(t time.Time) bool { return s.full.Load() >= t.UnixNano() }

// outOfSpace knows a full disk, a quota that is used up, and what S3 services say then.
func outOfSpace(err error) bool {
	var wrapped storagedriver.Error // which hides what is in it from errors.Is
	if errors.As(err, &wrapped) {
		err = wrapped.Detail
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	switch s3Code(err) {
	case "QuotaExceeded", "InsufficientCapacity", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded":
		return true
	}
	return false
}

// probe writes a little, and removes it again.
func (s *store) probe(ctx context.Context) error {
	const path = "/ndock-health"
	if err := s.PutContent(ctx, path, make([]byte, 4096)); err != nil {
		return fmt.Errorf("write: %w", explainStorage(err))
	}
	if err := s.Delete(ctx, path); err != nil && !notFound(err) { // another registry with this storage may be at it
		return fmt.Errorf("remove: %w", explainStorage(err))
	}
	return nil
}

// GetContent implements storagedriver.StorageDriver. A damaged link counts as missing: distribution would answer 500, so
// that neither a push nor a delete could mend it.
func (s *store) GetContent(ctx context.Context, path string) ([]byte, error) {
	content, err := s.StorageDriver.GetContent(ctx, path)
	if err != nil || !gc.IsLink(path) {
		return content, err
	}
	if digest.Digest(content).Validate() == nil {
		s.renew(ctx, path, content)
		return content, nil
	}
	s.log.Error("a link is damaged and counts as missing: push the image again, or delete it", "path", path, "content", fmt.Sprintf("%.100q", content))
	return nil, storagedriver.PathNotFoundError{Path: path, DriverName: s.Name()}
}

// spoilt tells whether what is stored of a manifest is something else than its digest says. What is larger than any
// manifest, of which that would be long to tell, is spoilt if the digest is a manifest's, and not if it is a layer's.
func (s *store) spoilt(ctx context.Context, manifest digest.Digest) (spoilt, large bool, err error) {
	if manifest.Validate() != nil {
		return false, false, nil
	}
	info, err := s.StorageDriver.Stat(ctx, gc.BlobFile(manifest))
	if err != nil || info.Size() > maxManifest {
		return false, err == nil, unlessNotFound(err)
	}
	content, err := s.StorageDriver.GetContent(ctx, gc.BlobFile(manifest))
	return err == nil && manifest.Algorithm().FromBytes(content) != manifest, false, unlessNotFound(err)
}

// repair writes a manifest anew where what is stored of it is damaged. Distribution would leave that as it is.
func (s *store) repair(ctx context.Context, manifest distribution.Manifest) error {
	_, payload, err := manifest.Payload()
	if err != nil {
		return err
	}
	d := digest.FromBytes(payload)
	if spoilt, large, err := s.spoilt(ctx, d); err != nil || !spoilt && !large {
		return err
	}
	s.log.Info("a damaged manifest came again, and is mended", "digest", d)
	s.mending.Lock()
	defer s.mending.Unlock()
	if err := s.PutContent(ctx, gc.BlobFile(d), payload); err != nil {
		return err
	}
	s.quota.forget(d)
	return nil
}

// mend repairs what a cache has of a manifest, which the client gets in any case.
func (s *store) mend(ctx context.Context, manifest distribution.Manifest) {
	if err := s.repair(ctx, manifest); err != nil && ctx.Err() == nil {
		s.log.Error("mend a damaged manifest", "error", err)
	}
}

// dropSpoilt removes what a cache has of a manifest if it is damaged, and the cache gets it again. Its clients say what is
// a manifest.
func (s *store) dropSpoilt(ctx context.Context, manifest digest.Digest) {
	s.mending.Lock() // or another client's request might mend it before it is removed
	defer s.mending.Unlock()
	spoilt, _, err := s.spoilt(ctx, manifest)
	if err == nil && spoilt {
		s.log.Error("a manifest is damaged and is got again", "digest", manifest)
		err = unlessNotFound(s.Delete(ctx, gc.BlobFile(manifest)))
	}
	if err != nil && ctx.Err() == nil {
		s.log.Error("look whether a manifest is damaged", "digest", manifest, "error", err)
	}
}

// renewAfter is how old the link of a tag is that a cache renews when it reads it: a tenth of what it takes to expire.
func renewAfter(c *configuration.Configuration) time.Duration {
	if c.Proxy.RemoteURL == "" {
		return 0
	}
	return min(proxyTTL(c)/10, time.Hour)
}

// renew has the link of a tag be young when a client gets the tag from a cache. Distribution writes the link only when
// the upstream has told whose the tag is, and reads it only when that has not.
func (s *store) renew(ctx context.Context, path string, content []byte) {
	if s.renewAfter <= 0 || !gc.IsTag(path) {
		return
	}
	ctx = context.WithoutCancel(ctx)
	link, err := s.StorageDriver.Stat(ctx, path)
	if err == nil && time.Since(link.ModTime()) > s.renewAfter {
		err = s.note(s.StorageDriver.PutContent(ctx, path, content))
	}
	if err != nil && !notFound(err) {
		s.log.Warn("a tag was pulled, and counts as old: its link cannot be renewed", "path", path, "error", err)
	}
}

// PutContent implements storagedriver.StorageDriver.
func (s *store) PutContent(ctx context.Context, path string, content []byte) error {
	r := requestOf(ctx)
	err := s.put(ctx, r, path, content)
	var why *refusal
	if r != nil && errors.As(err, &why) {
		r.overQuota = why // distribution makes a failure like any other of it, or an upload of a mount
	}
	return err
}

// put asks the quota before there is a new link or upload. A link is made even if the client is gone by now: its blob is
// there already.
func (s *store) put(ctx context.Context, r *request, path string, content []byte) error {
	put := func() error { return s.note(s.StorageDriver.PutContent(context.WithoutCancel(ctx), path, content)) }
	if repository, _, is := gc.LinkOf(path); is {
		return s.quota.link(context.WithoutCancel(ctx), r.claimed(), repository, digest.Digest(content), put)
	}
	repository, id, is := gc.UploadOf(path)
	upload := gc.RootRepositories + "/" + repository + "/_uploads/" + id
	switch {
	case is && strings.HasPrefix(path, upload+"/hashstates/"):
		return s.putHashState(ctx, upload, put)
	case !is || !strings.HasSuffix(path, "/startedat"): // which comes first
		return put()
	case r != nil && r.overQuota != nil: // a mount that was refused becomes no upload
		return r.overQuota
	}
	return s.quota.openUpload(ctx, repository, id, put)
}

// putHashState leaves out what a request that ends says of an upload that was removed meanwhile: it would make a directory
// that nobody removes.
func (s *store) putHashState(ctx context.Context, upload string, put func() error) error {
	_, err := s.StorageDriver.Stat(context.WithoutCancel(ctx), upload+"/startedat")
	switch {
	case notFound(err):
		return nil
	case err != nil:
		return s.note(err)
	}
	return put()
}

// Delete implements storagedriver.StorageDriver.
func (s *store) Delete(ctx context.Context, path string) error {
	remove := func() error { return s.StorageDriver.Delete(ctx, path) }
	if repository, blob, is := gc.LinkOf(path); is {
		return s.quota.unlink(ctx, path, repository, blob, remove)
	}
	err := remove()
	if repository, id, is := gc.UploadOf(path); is && (err == nil || notFound(err)) {
		s.quota.closeUpload(repository, id)
	}
	return err
}

// Move implements storagedriver.StorageDriver.
func (s *store) Move(ctx context.Context, from, to string) error {
	return s.note(s.StorageDriver.Move(ctx, from, to))
}

// Writer implements storagedriver.StorageDriver. A file is one request's from here to the request's end: that may make a
// blob of it, which another one that has the file open would still change. Requests without a body write nothing.
func (s *store) Writer(ctx context.Context, path string, more bool) (storagedriver.FileWriter, error) {
	if r := requestOf(ctx); r != nil && !s.hold(path, r) {
		r.busy = errBusy
		return nil, errBusy
	}
	w, err := s.StorageDriver.Writer(ctx, path, more)
	if err != nil {
		return nil, s.note(err)
	}
	return &noting{FileWriter: w, store: s}, nil
}

// noting is a writer that tells the store what went wrong.
type noting struct {
	storagedriver.FileWriter
	store *store
}

// Write implements io.Writer. Where there is no room, what was written goes at once: distribution does not close a file
// then, so that it would take its room even when it is removed.
func (n *noting) Write(p []byte) (int, error) {
	written, err := n.FileWriter.Write(p)
	if n.store.note(err); outOfSpace(err) {
		err = errors.Join(err, n.FileWriter.Cancel(context.Background()))
	}
	return written, err
}

// Close implements io.Closer.
func (n *noting) Close() error { return n.store.note(n.FileWriter.Close()) }

// Commit implements storagedriver.FileWriter.
func (n *noting) Commit(ctx context.Context) error {
	return n.store.note(n.FileWriter.Commit(ctx))
}

func notFound(err error) bool {
	var gone storagedriver.PathNotFoundError
	return errors.As(err, &gone)
}

func unlessNotFound(err error) error {
	if notFound(err) {
		return nil
	}
	return err
}
