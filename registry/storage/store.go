// Package storage stands between distribution and its storage driver. It remembers when there was no space left, keeps the
// quotas of namespaces, lets one request write to an upload at a time, mends damaged manifests, and has directories synced.
package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
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

	"ndock/registry/config"
	"ndock/registry/gc"
	"ndock/registry/refusal"
)

// MaxManifest is the largest size of a manifest in bytes: distribution's limit.
const MaxManifest = 4 << 20

// storeName is the name of a store in distribution's list of middleware.
const storeName = "ndock"

// A Store stands between distribution and its storage. It remembers when there was no space left, which distribution
// answers like any other failure.
type Store struct {
	storagedriver.StorageDriver
	once    sync.Once // sets the driver
	Log     *slog.Logger
	full    atomic.Int64 // when there last was no room, in nanoseconds
	quota   *quota
	writing sync.Map // the request that writes to a file now, by the file's path
	mending sync.Mutex

	renewAfter time.Duration // of a tag's link that a cache reads; zero for never
}

// registerStore registers the middleware once: distribution finds it by name alone.
var registerStore = sync.OnceValue(func() error {
	return storagemiddleware.Register(storeName, func(_ context.Context, driver storagedriver.StorageDriver, options map[string]any) (storagedriver.StorageDriver, error) {
		s, ok := options["store"].(*Store)
		if !ok {
			return nil, errors.New("middleware " + storeName + " is for ndock's own use")
		}
		s.once.Do(func() { s.StorageDriver = driver }) // which serves while a cache makes its next registry of the same
		return s, nil
	})
})

// New changes the configuration so that a registry made of it has a store around its storage, and around what is around
// that already. A storage in a directory is synced, too. A namespace may take that many bytes (any number when 0) and
// have that many uploads open.
func New(c *configuration.Configuration, bytes int64, uploads int, log *slog.Logger) (*Store, error) {
	if err := errors.Join(registerStore(), registerFsync()); err != nil {
		return nil, err
	}
	s := &Store{Log: log, renewAfter: renewAfter(c)}
	s.quota = newQuota(bytes, uploads, s)
	all := c.Middleware["storage"]
	if dir, ok := c.Storage["filesystem"]["rootdirectory"].(string); ok {
		all = append([]configuration.Middleware{fsyncMiddleware(dir)}, all...)
	}
	c.Middleware = map[string][]configuration.Middleware{
		"storage": append(all, configuration.Middleware{Name: storeName, Options: configuration.Parameters{"store": s}}),
	}
	return s, nil
}

// JoinNamespaces makes a project's id and its name one namespace.
func (s *Store) JoinNamespaces(id, name string) { s.quota.join(id, name) }

// Recount has the usage of all namespaces counted again, because something was removed.
func (s *Store) Recount() { s.quota.forgetAll() }

// DropUpload removes what has come of an upload.
func (s *Store) DropUpload(ctx context.Context, repository, id string) error {
	path := gc.RootRepositories + "/" + repository + "/_uploads/" + id
	if err := unlessNotFound(s.Delete(ctx, path)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// recordNoSpace remembers that an error was for lack of space, and returns it.
func (s *Store) recordNoSpace(err error) error {
	if outOfSpace(err) {
		s.full.Store(time.Now().UnixNano())
	}
	return err
}

// FullSince returns whether there was no space left at some time since t.
func (s *Store) FullSince(t time.Time) bool { return s.full.Load() >= t.UnixNano() }

// outOfSpace recognises a full disk, an exhausted quota, and what S3 services say then.
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

// Probe writes a small file, and removes it again.
func (s *Store) Probe(ctx context.Context) error {
	const path = "/ndock-health"
	if err := s.PutContent(ctx, path, make([]byte, 4096)); err != nil {
		return fmt.Errorf("write: %w", explainStorage(err))
	}
	if err := s.Delete(ctx, path); err != nil && !notFound(err) { // another registry with this storage may be at it
		return fmt.Errorf("remove: %w", explainStorage(err))
	}
	return nil
}

// GetContent implements storagedriver.StorageDriver. A damaged link counts as missing: distribution would answer 500,
// so that neither a push nor a delete could mend it.
func (s *Store) GetContent(ctx context.Context, path string) ([]byte, error) {
	content, err := s.StorageDriver.GetContent(ctx, path)
	if err != nil || !gc.IsLink(path) {
		return content, err
	}
	if digest.Digest(content).Validate() == nil {
		s.renew(ctx, path, content)
		return content, nil
	}
	s.Log.Error("a link is damaged and counts as missing: push the image again, or delete it", "path", path, "content", fmt.Sprintf("%.100q", content))
	return nil, storagedriver.PathNotFoundError{Path: path, DriverName: s.Name()}
}

// Damaged returns whether what is stored of a manifest has another digest. It does not read what is larger than any
// manifest, and returns large instead: the blob is damaged if it is meant to be a manifest, and not if it is a layer.
func (s *Store) Damaged(ctx context.Context, manifest digest.Digest) (damaged, large bool, err error) {
	if manifest.Validate() != nil {
		return false, false, nil
	}
	info, err := s.StorageDriver.Stat(ctx, gc.BlobFile(manifest))
	if err != nil || info.Size() > MaxManifest {
		return false, err == nil, unlessNotFound(err)
	}
	content, err := s.StorageDriver.GetContent(ctx, gc.BlobFile(manifest))
	return err == nil && manifest.Algorithm().FromBytes(content) != manifest, false, unlessNotFound(err)
}

// Repair writes a manifest again where what is stored of it is damaged. Distribution would leave it as it is.
func (s *Store) Repair(ctx context.Context, manifest distribution.Manifest) error {
	_, payload, err := manifest.Payload()
	if err != nil {
		return err
	}
	d := digest.FromBytes(payload)
	if damaged, large, err := s.Damaged(ctx, d); err != nil || !damaged && !large {
		return err
	}
	s.Log.Info("a damaged manifest came again, and is mended", "digest", d)
	s.mending.Lock()
	defer s.mending.Unlock()
	if err := s.PutContent(ctx, gc.BlobFile(d), payload); err != nil {
		return err
	}
	s.quota.forget(d)
	return nil
}

// Mend repairs a cached manifest. A failure is only logged, because the client gets the manifest in any case.
func (s *Store) Mend(ctx context.Context, manifest distribution.Manifest) {
	if err := s.Repair(ctx, manifest); err != nil && ctx.Err() == nil {
		s.Log.Error("mend a damaged manifest", "error", err)
	}
}

// DropDamaged removes a cached manifest if it is damaged, so that the cache fetches it again.
func (s *Store) DropDamaged(ctx context.Context, manifest digest.Digest) {
	s.mending.Lock() // or another client's request might mend it before it is removed
	defer s.mending.Unlock()
	damaged, _, err := s.Damaged(ctx, manifest)
	if err == nil && damaged {
		s.Log.Error("a manifest is damaged and is got again", "digest", manifest)
		err = unlessNotFound(s.Delete(ctx, gc.BlobFile(manifest)))
	}
	if err != nil && ctx.Err() == nil {
		s.Log.Error("look whether a manifest is damaged", "digest", manifest, "error", err)
	}
}

// renewAfter returns how old the link of a tag must be for a cache to renew it on reading: a tenth of its time to live.
func renewAfter(c *configuration.Configuration) time.Duration {
	if c.Proxy.RemoteURL == "" {
		return 0
	}
	return min(config.ProxyTTL(c)/10, time.Hour)
}

// renew makes the link of a tag recent when a client pulls the tag from a cache. Distribution writes the link only when
// the upstream has answered, and reads it only when the upstream has not.
func (s *Store) renew(ctx context.Context, path string, content []byte) {
	if s.renewAfter <= 0 || !gc.IsTag(path) {
		return
	}
	ctx = context.WithoutCancel(ctx)
	link, err := s.StorageDriver.Stat(ctx, path)
	if err == nil && time.Since(link.ModTime()) > s.renewAfter {
		err = s.recordNoSpace(s.StorageDriver.PutContent(ctx, path, content))
	}
	if err != nil && !notFound(err) {
		s.Log.Warn("a tag was pulled, and counts as old: its link cannot be renewed", "path", path, "error", err)
	}
}

// PutContent implements storagedriver.StorageDriver.
func (s *Store) PutContent(ctx context.Context, path string, content []byte) error {
	r := requestOf(ctx)
	err := s.put(ctx, r, path, content)
	var why *refusal.Refusal
	if r != nil && errors.As(err, &why) {
		r.OverQuota = why // distribution makes a failure like any other of it, or an upload of a mount
	}
	return err
}

// put asks the quota before it makes a link or an upload. It makes a link even if the client is gone by now, because
// the blob is there already.
func (s *Store) put(ctx context.Context, r *Request, path string, content []byte) error {
	put := func() error {
		return s.recordNoSpace(s.StorageDriver.PutContent(context.WithoutCancel(ctx), path, content))
	}
	repository, _, is := gc.LinkOf(path)
	if !is {
		repository, is = gc.TagOf(path)
	}
	if is {
		return s.quota.link(context.WithoutCancel(ctx), r.claimed(), repository, path, digest.Digest(content), put)
	}
	repository, id, is := gc.UploadOf(path)
	upload := gc.RootRepositories + "/" + repository + "/_uploads/" + id
	switch {
	case is && strings.HasPrefix(path, upload+"/hashstates/"):
		return s.putHashState(ctx, upload, put)
	case !is || !strings.HasSuffix(path, "/startedat"): // which comes first
		return put()
	case r != nil && r.OverQuota != nil: // a mount that was refused becomes no upload
		return r.OverQuota
	}
	return s.quota.openUpload(ctx, repository, id, path, put)
}

// putHashState keeps one state of an upload, the last: distribution asks for no earlier one, and has one written for each
// request. It leaves out that of an upload that was removed meanwhile, which would make a directory that nobody removes.
func (s *Store) putHashState(ctx context.Context, upload string, put func() error) error {
	ctx = context.WithoutCancel(ctx)
	if gone, err := s.uploadIsGone(ctx, upload); gone || err != nil {
		return err
	}
	err := unlessNotFound(s.StorageDriver.Delete(ctx, upload+"/hashstates"))
	if err == nil {
		err = put()
	}
	gone, failed := s.uploadIsGone(ctx, upload)
	if gone { // it was removed meanwhile
		failed = unlessNotFound(s.StorageDriver.Delete(ctx, upload))
	}
	return errors.Join(err, failed)
}

func (s *Store) uploadIsGone(ctx context.Context, upload string) (bool, error) {
	_, err := s.StorageDriver.Stat(ctx, upload+"/startedat")
	return notFound(err), unlessNotFound(err)
}

// Delete implements storagedriver.StorageDriver. A link goes with its directory, in which there is nothing else.
func (s *Store) Delete(ctx context.Context, file string) error {
	if repository, blob, is := gc.LinkOf(file); is {
		return s.quota.unlink(ctx, file, repository, blob, func() error { return s.deleteLink(ctx, file) })
	}
	err := s.StorageDriver.Delete(ctx, file)
	if repository, id, is := gc.UploadOf(file); is && (err == nil || notFound(err)) {
		s.quota.closeUpload(repository, id)
	}
	return err
}

func (s *Store) deleteLink(ctx context.Context, file string) error {
	if !gc.HasDirectories(s.StorageDriver) {
		return s.StorageDriver.Delete(ctx, file)
	}
	if _, err := s.StorageDriver.Stat(ctx, file); err != nil {
		return err
	}
	return s.StorageDriver.Delete(ctx, path.Dir(file))
}

// Walk implements storagedriver.StorageDriver. It ends with the client that waits for it.
func (s *Store) Walk(ctx context.Context, from string, visit storagedriver.WalkFn, options ...func(*storagedriver.WalkOptions)) error {
	return s.StorageDriver.Walk(ctx, from, func(file storagedriver.FileInfo) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return visit(file)
	}, options...)
}

// Move implements storagedriver.StorageDriver.
func (s *Store) Move(ctx context.Context, from, to string) error {
	return s.recordNoSpace(s.StorageDriver.Move(ctx, from, to))
}

// Writer implements storagedriver.StorageDriver. The file belongs to one request until that ends: the request may make
// a blob of it, which another request with the open file could still change.
func (s *Store) Writer(ctx context.Context, path string, more bool) (storagedriver.FileWriter, error) {
	if r := requestOf(ctx); r != nil && !s.hold(path, r) {
		refusal.Set(ctx, refusal.Busy)
		return nil, refusal.Busy
	}
	w, err := s.StorageDriver.Writer(ctx, path, more)
	if err != nil {
		return nil, s.recordNoSpace(err)
	}
	return &trackedWriter{FileWriter: w, store: s}, nil
}

// trackedWriter tells the store what went wrong.
type trackedWriter struct {
	storagedriver.FileWriter
	store *Store
}

// Write implements io.Writer. Where there is no space left, it removes what was written at once: distribution would not
// close the file, so that it would take its space even after it is removed.
func (n *trackedWriter) Write(p []byte) (int, error) {
	written, err := n.FileWriter.Write(p)
	if n.store.recordNoSpace(err); outOfSpace(err) {
		err = errors.Join(err, n.FileWriter.Cancel(context.Background()))
	}
	return written, err
}

// Close implements io.Closer.
func (n *trackedWriter) Close() error { return n.store.recordNoSpace(n.FileWriter.Close()) }

// Commit implements storagedriver.FileWriter.
func (n *trackedWriter) Commit(ctx context.Context) error {
	return n.store.recordNoSpace(n.FileWriter.Commit(ctx))
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
