package storage

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"ndock/registry/gc"
	"ndock/registry/refusal"
)

const (
	recount     = 10 * time.Minute // after which a namespace is counted again: other registries may share the storage
	recheck     = time.Minute      // after which a namespace with too many open uploads is looked at again
	sizesAtOnce = 16               // blobs whose size is asked for at a time
)

func countError(name string, cause error) *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusServiceUnavailable, Code: errcode.ErrorCodeUnavailable, Cause: cause,
		Message: fmt.Sprintf("the registry cannot find out how much %s takes: tell who runs it", name),
	}
}

// counted returns what a namespace takes, locked.
func (q *quota) counted(ctx context.Context, name string) (*usage, error) {
	u := q.usageOf(name)
	u.Lock()
	if !q.due(u) {
		return u, nil
	}
	if err := q.count(ctx, name, u); err != nil {
		u.Unlock()
		return nil, fmt.Errorf("count what %q takes: %w", name, err)
	}
	return u, nil
}

// due returns whether a namespace is to be counted. Without a limit on bytes, that is when it has too many open
// uploads: another registry may have removed some.
func (q *quota) due(u *usage) bool {
	if q.limit == 0 {
		return len(u.open) >= q.uploads && time.Since(u.counted) >= recheck
	}
	return time.Since(u.counted) >= recount
}

func (q *quota) count(ctx context.Context, name string, u *usage) error {
	found := content{blobs: map[digest.Digest]bool{}, open: map[string]int64{}}
	for _, one := range q.names(name) {
		if err := q.find(ctx, one, &found); err != nil {
			return err
		}
	}
	if err := q.measure(ctx, u, found.blobs); err != nil {
		return err
	}
	u.files = found.files
	u.findOpen(found.open)
	u.counted = time.Now()
	return nil
}

// content is what the storage has of a namespace.
type content struct {
	blobs map[digest.Digest]bool
	open  map[string]int64 // uploads by id, with their stored size
	files int64            // and directories, but for those of blobs and uploads
}

// findOpen takes over the uploads that are in the storage. The size of one in progress is known from its requests: a
// bucket shows it only when the upload is complete.
func (u *usage) findOpen(found map[string]int64) {
	for id, upload := range u.open {
		size, ok := found[id]
		switch {
		case !ok && upload.active == 0:
			delete(u.open, id)
		case upload.active == 0:
			upload.bytes = max(upload.bytes, size)
		}
	}
	for id, size := range found {
		if u.open[id] == nil {
			u.open[id] = &openUpload{bytes: size}
		}
	}
}

// measure finds out how large the blobs are.
func (q *quota) measure(ctx context.Context, u *usage, found map[digest.Digest]bool) error {
	if q.limit == 0 {
		return nil
	}
	known, used, sizes := u.blobs, int64(0), make(map[digest.Digest]int64, len(found))
	var lock sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sizesAtOnce)
	for blob := range found {
		group.Go(func() (err error) {
			size := known[blob] // which changes only when it is mended
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
	u.blobs, u.used = sizes, used
	return nil
}

// find adds what a namespace has, and the blobs that it had links to.
func (q *quota) find(ctx context.Context, name string, found *content) error {
	sizes, files, there := map[string]int64{}, map[string]int64{}, map[string]bool{}
	err := gc.WalkAll(ctx, q.storage, gc.RootRepositories+"/"+name, func(file storagedriver.FileInfo) error {
		_, id, upload := gc.UploadOf(file.Path())
		if !upload {
			found.files++
			return q.findLink(ctx, file, found.blobs)
		}
		files[id]++
		if !file.IsDir() {
			sizes[id] += file.Size()
			there[id] = there[id] || path.Base(file.Path()) == "startedat" || path.Base(file.Path()) == "data" && file.Size() > 0
		}
		return nil
	})
	for id := range files {
		if there[id] {
			found.open[id] = sizes[id]
		} else { // it was removed, and a request to it has left something
			found.files += files[id]
		}
	}
	if err != nil || q.limit == 0 {
		return err
	}
	return gc.Walk(ctx, q.storage, gc.RootUnlinked+"/"+name, func(file storagedriver.FileInfo) error {
		if _, blob, is := gc.UnlinkedOf(file.Path()); is {
			found.blobs[blob] = true
		}
		return nil
	})
}

// missing returns how many files and directories are made when a file is written.
func (q *quota) missing(ctx context.Context, file string) (int64, error) {
	if _, err := q.storage.Stat(ctx, file); !notFound(err) {
		return 0, err
	}
	directories, err := q.missingDirectories(ctx, path.Dir(file))
	return 1 + directories, err
}

// missingDirectories returns how many directories are made with a directory.
func (q *quota) missingDirectories(ctx context.Context, dir string) (n int64, err error) {
	for ; gc.HasDirectories(q.storage) && dir != "/"; dir = path.Dir(dir) {
		if _, err := q.storage.Stat(ctx, dir); !notFound(err) {
			return n, err
		}
		n++
	}
	return n, nil
}

func (q *quota) findLink(ctx context.Context, file storagedriver.FileInfo, found map[digest.Digest]bool) error {
	_, named, is := gc.LinkOf(file.Path())
	if !is || q.limit == 0 {
		return nil
	}
	blob, err := q.target(ctx, file.Path(), named)
	if err == nil {
		found[blob] = true
	}
	return err
}

// target returns the digest by which the storage knows a blob. It reads the link only where the client has used another
// algorithm.
func (q *quota) target(ctx context.Context, file string, named digest.Digest) (digest.Digest, error) {
	if named.Algorithm() == digest.Canonical {
		return named, nil
	}
	content, err := q.storage.GetContent(ctx, file)
	return digest.Digest(content), err
}

// size returns the size of a blob; 0 for one that does not exist.
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
