package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/docker/go-units"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"ndock/registry/gc"
)

const (
	recount     = 10 * time.Minute // after which a namespace is counted again: other registries may share the storage
	sizesAtOnce = 16               // blobs whose size is asked for at a time
)

// A quota is the most that the blobs of a namespace may take, which are those that its repositories have links to, each
// counted once. A namespace is the first part of repositories' names: with Keystone, a project. The storage is what
// says what is used; that is remembered for a while.
type quota struct {
	limit   int64
	storage storagedriver.StorageDriver
	lock    sync.Mutex
	all     map[string]*usage
}

// usage is what one namespace takes. It is locked while it is counted, and while a link is made.
type usage struct {
	sync.Mutex
	blobs   map[digest.Digest]int64
	used    int64
	counted time.Time // long ago when that is to be done again
}

func newQuota(limit int64, storage storagedriver.StorageDriver) *quota {
	if limit == 0 {
		return nil
	}
	return &quota{limit: limit, storage: storage, all: map[string]*usage{}}
}

func checkQuota(limit int64, upstream string) error {
	switch {
	case limit < 0:
		return errors.New("--quota is not negative")
	case limit > 0 && upstream != "":
		return errors.New("--quota is for what is pushed, and nothing can be pushed to a cache of another registry")
	}
	return nil
}

func namespace(repository string) string {
	first, _, _ := strings.Cut(repository, "/")
	return first
}

// room is how much more a repository may take, for a layer to come.
func (q *quota) room(ctx context.Context, repository string) (int64, *refusal, error) {
	name := namespace(repository)
	u, err := q.counted(ctx, name)
	if err != nil {
		return 0, uncounted(name), err
	}
	defer u.Unlock()
	return max(0, q.limit-u.used), q.exceeded(name, u.used), nil
}

// link has a link to a blob made, if the blob is there already, or has room.
func (q *quota) link(ctx context.Context, file string, content []byte, put func() error) error {
	repository, _, is := gc.LinkOf(file)
	if !is {
		return put()
	}
	name := namespace(repository)
	u, err := q.counted(ctx, name)
	if err != nil {
		return err
	}
	defer u.Unlock()
	blob := digest.Digest(content)
	if _, ok := u.blobs[blob]; ok {
		return put()
	}
	size, err := q.size(ctx, blob)
	switch {
	case err != nil:
		return err
	case u.used+size > q.limit:
		return q.exceeded(name, u.used)
	}
	if err := put(); err != nil {
		u.counted = time.Time{} // whether it was made, the storage knows
		return err
	}
	u.blobs[blob], u.used = size, u.used+size
	return nil
}

func (q *quota) exceeded(name string, used int64) *refusal {
	return &refusal{
		status: http.StatusRequestEntityTooLarge, code: errcode.ErrorCodeDenied,
		message: fmt.Sprintf("%s takes %s of the %s that it may, and this would be more: delete images there and have garbage collected, or ask who runs the registry for a larger quota",
			name, units.BytesSize(float64(used)), units.BytesSize(float64(q.limit))),
	}
}

func uncounted(name string) *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, code: errcode.ErrorCodeUnavailable,
		message: fmt.Sprintf("the registry cannot find out how much %s takes: tell who runs it", name),
	}
}

// counted returns what a namespace takes, locked.
func (q *quota) counted(ctx context.Context, name string) (*usage, error) {
	u := q.of(name)
	u.Lock()
	if time.Since(u.counted) < recount {
		return u, nil
	}
	if err := q.count(ctx, name, u); err != nil {
		u.Unlock()
		return nil, fmt.Errorf("count what %q takes: %w", name, err)
	}
	return u, nil
}

func (q *quota) of(name string) *usage {
	q.lock.Lock()
	defer q.lock.Unlock()
	u := q.all[name]
	if u == nil {
		u = &usage{}
		q.all[name] = u
	}
	return u
}

// forget has a namespace counted again, since something was removed.
func (q *quota) forget(name string) {
	if q == nil {
		return
	}
	u := q.of(name)
	u.Lock()
	defer u.Unlock()
	u.counted = time.Time{}
}

// forgetAll has all namespaces counted again.
func (q *quota) forgetAll() {
	if q == nil {
		return
	}
	q.lock.Lock()
	names := slices.Collect(maps.Keys(q.all))
	q.lock.Unlock()
	for _, name := range names {
		q.forget(name)
	}
}

func (q *quota) count(ctx context.Context, name string, u *usage) error {
	found, err := q.find(ctx, name)
	if err != nil {
		return err
	}
	known, used, sizes := u.blobs, int64(0), make(map[digest.Digest]int64, len(found))
	var lock sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sizesAtOnce)
	for blob := range found {
		group.Go(func() (err error) {
			size := known[blob] // which never changes
			if size == 0 {
				size, err = q.size(ctx, blob)
			}
			lock.Lock()
			defer lock.Unlock()
			sizes[blob], used = size, used+size
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	u.blobs, u.used, u.counted = sizes, used, time.Now()
	return nil
}

// find returns the blobs that a namespace has links to.
func (q *quota) find(ctx context.Context, name string) (map[digest.Digest]bool, error) {
	found := map[digest.Digest]bool{}
	err := q.storage.Walk(ctx, gc.RootRepositories+"/"+name, func(file storagedriver.FileInfo) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, named, is := gc.LinkOf(file.Path()); is && !file.IsDir() {
			blob, err := q.target(ctx, file.Path(), named)
			found[blob] = true
			return err
		}
		return nil
	})
	if notFound(err) {
		return found, nil // nothing was ever pushed there
	}
	return found, err
}

// target reads a link only where the blob is called by another digest than the storage calls it by.
func (q *quota) target(ctx context.Context, file string, named digest.Digest) (digest.Digest, error) {
	if named.Algorithm() == digest.Canonical {
		return named, nil
	}
	content, err := q.storage.GetContent(ctx, file)
	return digest.Digest(content), err
}

// size is nothing for a blob that is not there.
func (q *quota) size(ctx context.Context, blob digest.Digest) (int64, error) {
	if err := blob.Validate(); err != nil {
		return 0, fmt.Errorf("a link has %q in it: %w", blob, err)
	}
	hex := blob.Encoded()
	info, err := q.storage.Stat(ctx, path.Join(gc.RootBlobs, blob.Algorithm().String(), hex[:2], hex, "data"))
	switch {
	case notFound(err):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return info.Size(), nil
}
