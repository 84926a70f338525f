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
	recheck     = time.Minute      // after which a namespace with too many open uploads is looked at again
	sizesAtOnce = 16               // blobs whose size is asked for at a time
)

// defaultOpenUploads is how many uploads a namespace may have open at a time.
const defaultOpenUploads = 1000

// A quota is the most that a namespace may take of the storage: the blobs that its repositories have links to, each
// counted once; the blobs that they had links to, until garbage collection removes them; and what came of uploads that
// are not complete. A namespace is the first part of repositories' names: with Keystone a project, whose id and name are
// one namespace. The storage says what is used; that is remembered for a while.
type quota struct {
	limit   int64 // bytes; any number when 0
	uploads int   // that are open at a time
	storage storagedriver.StorageDriver
	lock    sync.Mutex
	all     map[string]*usage
	ids     map[string]string // of projects, by name
}

// usage is what one namespace takes. It is locked while it is counted, and while a link or an upload is made.
type usage struct {
	sync.Mutex
	blobs   map[digest.Digest]int64
	used    int64 // by the blobs
	open    map[string]*openUpload
	pending int64     // bytes of requests under way
	counted time.Time // long ago when that is to be done again
}

// openUpload is an upload that is not complete.
type openUpload struct {
	bytes  int64 // that came with requests which have ended
	active int   // requests under way
	closed bool  // it was removed, and counts until these have ended: they have its file open
}

// A claim is what the body of one request takes of a namespace, until it is part of a blob or of an open upload.
type claim struct {
	repository string
	upload     string // id; empty for a manifest
	usage      *usage // nil until some of the body was read
	open       *openUpload
	bytes      int64
}

func newQuota(limit int64, uploads int, storage storagedriver.StorageDriver) *quota {
	return &quota{limit: limit, uploads: uploads, storage: storage, all: map[string]*usage{}, ids: map[string]string{}}
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

// total is all that the namespace takes.
func (u *usage) total() int64 {
	sum := u.used + u.pending
	for _, one := range u.open {
		sum += one.bytes
	}
	return sum
}

// of is what a claim has of the total: its own bytes, and those that came for its upload before.
func (u *usage) of(c *claim) int64 {
	if c == nil || c.usage != u {
		return 0
	}
	if c.open != nil {
		return c.bytes + c.open.bytes
	}
	return c.bytes
}

// begin has a body of that size begin, -1 for one of any size, of which so much came with earlier requests.
func (q *quota) begin(ctx context.Context, c *claim, before, size int64) *refusal {
	u, err := q.counted(ctx, namespace(c.repository))
	if err != nil {
		return uncounted(namespace(c.repository), err)
	}
	defer u.Unlock()
	c.usage = u
	if c.upload != "" {
		upload := u.open[c.upload]
		if upload == nil { // of an earlier process
			upload = &openUpload{bytes: before}
			u.open[c.upload] = upload
		}
		upload.active++
		c.open = upload
	}
	return q.refused(u, c, max(size, 0))
}

// take counts bytes that came.
func (q *quota) take(c *claim, n int64) *refusal {
	c.usage.Lock()
	defer c.usage.Unlock()
	if why := q.refused(c.usage, c, n); why != nil {
		return why
	}
	c.usage.pending += n
	c.bytes += n
	return nil
}

// end is when the request has ended. What came of an upload that is neither complete nor cancelled still counts.
func (q *quota) end(c *claim) {
	if c.usage == nil {
		return
	}
	c.usage.Lock()
	defer c.usage.Unlock()
	c.usage.pending -= c.bytes
	if c.open == nil {
		return
	}
	c.open.bytes += c.bytes
	if c.open.active--; c.open.active == 0 && c.open.closed {
		delete(c.usage.open, c.upload)
	}
}

// refused is why a namespace may not take so much more.
func (q *quota) refused(u *usage, c *claim, more int64) *refusal {
	if q.limit == 0 || u.total()+more <= q.limit {
		return nil
	}
	return q.exceeded(namespace(c.repository), u.total()-u.of(c))
}

// openUpload has an upload made, if the namespace may have one more.
func (q *quota) openUpload(ctx context.Context, repository, id string, put func() error) error {
	name := namespace(repository)
	u, err := q.counted(ctx, name)
	if err != nil {
		return err
	}
	defer u.Unlock()
	switch {
	case u.open[id] != nil:
		return put()
	case len(u.open) >= q.uploads:
		return tooManyOpen(name, len(u.open))
	}
	if err := put(); err != nil {
		return err
	}
	u.open[id] = &openUpload{}
	return nil
}

// closeUpload is when an upload is removed, complete or not. Its file takes its room until the last request ends.
func (q *quota) closeUpload(repository, id string) {
	u := q.of(namespace(repository))
	u.Lock()
	defer u.Unlock()
	if upload := u.open[id]; upload != nil && upload.active > 0 {
		upload.closed = true
		return
	}
	delete(u.open, id)
}

// link has a link to a blob made, if the blob counts already, or has room. What the claim of the request has is the
// blob's then.
func (q *quota) link(ctx context.Context, c *claim, repository string, blob digest.Digest, put func() error) error {
	if q.limit == 0 {
		return put()
	}
	name := namespace(repository)
	u, err := q.counted(ctx, name)
	if err != nil {
		return err
	}
	defer u.Unlock()
	if _, ok := u.blobs[blob]; ok {
		return put()
	}
	size, err := q.size(ctx, blob)
	if err != nil {
		return err
	}
	if others := u.total() - u.of(c); others+size > q.limit {
		return errors.Join(q.exceeded(name, others), q.keepCounting(ctx, u, c, name, blob, size))
	}
	if err := put(); err != nil {
		u.counted = time.Time{} // whether it was made, the storage knows
		return err
	}
	u.add(blob, size)
	u.hand(c)
	return nil
}

func (u *usage) add(blob digest.Digest, size int64) { u.blobs[blob], u.used = size, u.used+size }

// hand takes from a claim what counts elsewhere now.
func (u *usage) hand(c *claim) {
	if c == nil || c.usage != u {
		return
	}
	u.pending -= c.bytes
	c.bytes = 0
	if c.open != nil {
		c.open.bytes = 0
	}
}

// keepCounting counts a blob that came with this request, and was refused then: it is in the storage all the same. One
// that was to be mounted came by another.
func (q *quota) keepCounting(ctx context.Context, u *usage, c *claim, name string, blob digest.Digest, size int64) error {
	if c == nil || c.usage != u || u.of(c) == 0 {
		return nil
	}
	u.add(blob, size)
	u.hand(c)
	return q.record(ctx, name, blob)
}

// unlink has a link removed. The blob counts until it is gone from the storage.
func (q *quota) unlink(ctx context.Context, file, repository string, named digest.Digest, remove func() error) error {
	if q.limit == 0 {
		return remove()
	}
	blob, err := q.target(ctx, file, named)
	switch {
	case notFound(err):
		return remove()
	case err != nil:
		return err
	}
	if err := q.record(ctx, namespace(repository), blob); err != nil && !outOfSpace(err) { // or else nothing could be removed from a full disk
		return err
	}
	return remove()
}

// record has a blob count for a namespace that has no link to it, until garbage collection finds the blob gone.
func (q *quota) record(ctx context.Context, name string, blob digest.Digest) error {
	return q.storage.PutContent(ctx, gc.UnlinkedFile(name, blob), []byte(blob))
}

func (q *quota) exceeded(name string, used int64) *refusal {
	return &refusal{
		status: http.StatusRequestEntityTooLarge, code: errcode.ErrorCodeDenied,
		message: fmt.Sprintf("%s takes %s of the %s that it may, and this would be more: delete images there and have garbage collected, or ask who runs the registry for a larger quota",
			name, units.BytesSize(float64(used)), units.BytesSize(float64(q.limit))),
	}
}

func tooManyOpen(name string, open int) *refusal {
	return &refusal{
		status: http.StatusTooManyRequests, code: errcode.ErrorCodeTooManyRequests, retryAfter: uploadPatience,
		message: fmt.Sprintf("%s has %d uploads open, and may have no more: complete or cancel some; those that were broken off are removed after a day", name, open),
	}
}

func uncounted(name string, cause error) *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, code: errcode.ErrorCodeUnavailable, cause: cause,
		message: fmt.Sprintf("the registry cannot find out how much %s takes: tell who runs it", name),
	}
}

// counted returns what a namespace takes, locked.
func (q *quota) counted(ctx context.Context, name string) (*usage, error) {
	u := q.of(name)
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

// due tells whether a namespace is to be counted. Where bytes do not matter, that is when it has too many open uploads:
// another registry may have removed some.
func (q *quota) due(u *usage) bool {
	if q.limit == 0 {
		return len(u.open) >= q.uploads && time.Since(u.counted) >= recheck
	}
	return time.Since(u.counted) >= recount
}

func (q *quota) of(name string) *usage {
	q.lock.Lock()
	defer q.lock.Unlock()
	if id, ok := q.ids[name]; ok {
		name = id
	}
	u := q.all[name]
	if u == nil {
		u = &usage{blobs: map[digest.Digest]int64{}, open: map[string]*openUpload{}}
		q.all[name] = u
	}
	return u
}

// join has a project's id and its name be one namespace, which is counted anew.
func (q *quota) join(id, name string) {
	q.lock.Lock()
	defer q.lock.Unlock()
	before, known := q.ids[name]
	if known && before == id {
		return
	}
	q.ids[name] = id
	for _, one := range []string{id, name, before} {
		delete(q.all, one)
	}
}

// names are all that a namespace is called.
func (q *quota) names(name string) []string {
	q.lock.Lock()
	defer q.lock.Unlock()
	if id, ok := q.ids[name]; ok {
		name = id
	}
	all := []string{name}
	for other, id := range q.ids {
		if id == name {
			all = append(all, other)
		}
	}
	return all
}

// forgetAll has all namespaces counted again, since something was removed.
func (q *quota) forgetAll() {
	q.lock.Lock()
	all := slices.Collect(maps.Values(q.all))
	q.lock.Unlock()
	for _, u := range all {
		u.Lock()
		u.counted = time.Time{}
		u.Unlock()
	}
}

func (q *quota) count(ctx context.Context, name string, u *usage) error {
	found, open := map[digest.Digest]bool{}, map[string]int64{}
	for _, one := range q.names(name) {
		if err := q.find(ctx, one, found, open); err != nil {
			return err
		}
	}
	if err := q.measure(ctx, u, found); err != nil {
		return err
	}
	u.findOpen(open)
	u.counted = time.Now()
	return nil
}

// findOpen takes over which uploads there are in the storage. How large one is that a request is under way to, the
// requests know; a bucket does not show it before an upload is complete.
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
	u.blobs, u.used = sizes, used
	return nil
}

// find adds the blobs that a namespace has, or had, links to, and its open uploads with what is stored of them.
func (q *quota) find(ctx context.Context, name string, found map[digest.Digest]bool, open map[string]int64) error {
	sizes, there := map[string]int64{}, map[string]bool{}
	err := gc.Walk(ctx, q.storage, gc.RootRepositories+"/"+name, func(file storagedriver.FileInfo) error {
		if _, id, is := gc.UploadOf(file.Path()); is {
			sizes[id] += file.Size()
			there[id] = there[id] || path.Base(file.Path()) == "startedat" || path.Base(file.Path()) == "data" && file.Size() > 0
			return nil
		}
		return q.findLink(ctx, file, found)
	})
	for id := range sizes {
		if there[id] { // or else it was removed, and a request to it has left something
			open[id] = sizes[id]
		}
	}
	if err != nil || q.limit == 0 {
		return err
	}
	return gc.Walk(ctx, q.storage, gc.RootUnlinked+"/"+name, func(file storagedriver.FileInfo) error {
		if _, blob, is := gc.UnlinkedOf(file.Path()); is {
			found[blob] = true
		}
		return nil
	})
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
