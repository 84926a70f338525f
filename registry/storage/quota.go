package storage

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

	"ndock/registry/gc"
	"ndock/registry/refusal"
)

const (
	bytesPerFile  = 16 << 10 // of a quota: mke2fs makes one inode for each so many bytes of a disk
	minFiles      = 10000    // that the smallest quota allows
	filesOfBlob   = 3        // its directory and its data, and the record of a namespace without a link to it
	filesOfUpload = 6        // its directory, startedat, data, and hashstates/sha256 with one state
)

// A quota limits what each namespace takes of the storage: the blobs that its repositories have links to, each counted
// once; the blobs that they had links to, until garbage collection removes them; and what has come of incomplete
// uploads. A namespace is the first part of a repository's name. With Keystone it is a project, whose id and name are
// one namespace. Usage is counted in the storage, and kept for a while.
//
// It limits the files and directories, too, in proportion: many small ones would fill a disk, or use up its inodes.
type quota struct {
	limit   int64 // bytes; any number when 0, and of files, too
	files   int64 // and directories
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
	files   int64 // and directories, but for those of blobs and of open uploads
	open    map[string]*openUpload
	pending int64     // bytes of requests under way
	counted time.Time // long ago when that is to be done again
}

func newQuota(limit int64, uploads int, storage storagedriver.StorageDriver) *quota {
	return &quota{limit: limit, files: max(minFiles, limit/bytesPerFile), uploads: uploads, storage: storage, all: map[string]*usage{}, ids: map[string]string{}}
}

func namespace(repository string) string {
	first, _, _ := strings.Cut(repository, "/")
	return first
}

// total returns all that the namespace takes, in bytes.
func (u *usage) total() int64 {
	sum := u.used + u.pending
	for _, one := range u.open {
		sum += one.bytes
	}
	return sum
}

// allFiles returns how many files and directories the namespace has.
func (u *usage) allFiles() int64 {
	return u.files + filesOfBlob*int64(len(u.blobs)) + filesOfUpload*int64(len(u.open))
}

func (q *quota) tooManyFilesError(name string) *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusRequestEntityTooLarge, Code: errcode.ErrorCodeDenied,
		Message: fmt.Sprintf("%s has the %d files and directories that its quota of %s allows: delete tags and images there and have garbage collected, or ask who runs the registry for a larger quota",
			name, q.files, units.BytesSize(float64(q.limit))),
	}
}

func (q *quota) exceededError(name string, used int64) *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusRequestEntityTooLarge, Code: errcode.ErrorCodeDenied,
		Message: fmt.Sprintf("%s takes %s of the %s that it may, and this would be more: delete images there and have garbage collected, or ask who runs the registry for a larger quota",
			name, units.BytesSize(float64(used)), units.BytesSize(float64(q.limit))),
	}
}

func (q *quota) usageOf(name string) *usage {
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

// join makes a project's id and its name one namespace, which is counted again.
func (q *quota) join(id, name string) {
	for _, u := range q.joined(id, name) {
		u.Lock()
		u.counted = time.Time{}
		u.Unlock()
	}
}

// joined records the name of a project, and returns what is to be counted again. The requests under way keep their usage.
func (q *quota) joined(id, name string) (all []*usage) {
	q.lock.Lock()
	defer q.lock.Unlock()
	before, known := q.ids[name]
	if known && before == id {
		return nil
	}
	q.ids[name] = id
	if q.all[id] == nil && q.all[name] != nil {
		q.all[id] = q.all[name]
	}
	delete(q.all, name)
	for _, one := range []string{id, before} {
		if u := q.all[one]; u != nil {
			all = append(all, u)
		}
	}
	return all
}

// names returns all names of a namespace.
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

// usages returns those of all namespaces.
func (q *quota) usages() []*usage {
	q.lock.Lock()
	defer q.lock.Unlock()
	return slices.Collect(maps.Values(q.all))
}

// forgetAll has all namespaces counted again, because something was removed.
func (q *quota) forgetAll() {
	for _, u := range q.usages() {
		u.Lock()
		u.counted = time.Time{}
		u.Unlock()
	}
}

// forget has the namespaces counted again that a blob counts for, because its size has changed.
func (q *quota) forget(blob digest.Digest) {
	for _, u := range q.usages() {
		u.Lock()
		if _, counts := u.blobs[blob]; counts {
			delete(u.blobs, blob)
			u.counted = time.Time{}
		}
		u.Unlock()
	}
}

// openUpload is an upload that is not complete.
type openUpload struct {
	bytes  int64 // that came with requests which have ended
	active int   // requests under way
	closed bool  // it was removed, and counts until these have ended: they have its file open
}

// A claim is what the body of one request takes of a namespace, until that is part of a blob or of an open upload.
type claim struct {
	repository string
	upload     string // id; empty for a manifest
	usage      *usage // nil until some of the body was read
	open       *openUpload
	bytes      int64
}

// claimed returns the claim's part of the total: its own bytes, and those that came for its upload before.
func (u *usage) claimed(c *claim) int64 {
	if c == nil || c.usage != u {
		return 0
	}
	if c.open != nil {
		return c.bytes + c.open.bytes
	}
	return c.bytes
}

// begin starts a body of that many bytes, -1 if unknown, after so many that came with earlier requests.
func (q *quota) begin(ctx context.Context, c *claim, before, size int64) *refusal.Refusal {
	u, err := q.counted(ctx, namespace(c.repository))
	if err != nil {
		return countError(namespace(c.repository), err)
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
	if q.limit > 0 && u.allFiles() >= q.files { // before there is a blob of it
		return q.tooManyFilesError(namespace(c.repository))
	}
	return q.refused(u, c, max(size, 0))
}

// take counts bytes that came.
func (q *quota) take(c *claim, n int64) *refusal.Refusal {
	c.usage.Lock()
	defer c.usage.Unlock()
	if why := q.refused(c.usage, c, n); why != nil {
		return why
	}
	c.usage.pending += n
	c.bytes += n
	return nil
}

// end ends a request. What came of an upload that is neither complete nor cancelled still counts.
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

// refused returns why a namespace may not take that many bytes more; nil if it may.
func (q *quota) refused(u *usage, c *claim, more int64) *refusal.Refusal {
	if q.limit == 0 || u.total()+more <= q.limit {
		return nil
	}
	return q.exceededError(namespace(c.repository), u.total()-u.claimed(c))
}

// openUpload makes an upload, by its first file, if the namespace may have one more.
func (q *quota) openUpload(ctx context.Context, repository, id, file string, put func() error) error {
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
		return tooManyUploads(name, len(u.open))
	}
	made, err := q.missingDirectories(ctx, path.Dir(path.Dir(file)))
	switch {
	case err != nil:
		return err
	case q.limit > 0 && u.allFiles()+made+filesOfUpload > q.files:
		return q.tooManyFilesError(name)
	}
	if err := put(); err != nil {
		return err
	}
	u.open[id] = &openUpload{}
	u.files += made
	return nil
}

// closeUpload records that an upload was removed, complete or not. Its file takes its space until the last request to
// it ends.
func (q *quota) closeUpload(repository, id string) {
	u := q.usageOf(namespace(repository))
	u.Lock()
	defer u.Unlock()
	if upload := u.open[id]; upload != nil && upload.active > 0 {
		upload.closed = true
		return
	}
	delete(u.open, id)
}

func tooManyUploads(name string, open int) *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusTooManyRequests, Code: errcode.ErrorCodeTooManyRequests, RetryAfter: refusal.RetryUploads,
		Message: fmt.Sprintf("%s has %d uploads open, and may have no more: complete or cancel some; those that were broken off are removed after a day", name, open),
	}
}

// link makes the file that links to a blob, if there is room for it and for the blob, unless that counts already. From
// then on the blob counts, and the claim of the request no more.
func (q *quota) link(ctx context.Context, c *claim, repository, file string, blob digest.Digest, put func() error) error {
	if q.limit == 0 {
		return put()
	}
	name := namespace(repository)
	u, err := q.counted(ctx, name)
	if err != nil {
		return err
	}
	defer u.Unlock()
	made, err := q.missing(ctx, file)
	if err != nil {
		return err
	}
	_, counts := u.blobs[blob]
	var size int64
	if !counts {
		if size, err = q.size(ctx, blob); err != nil {
			return err
		}
	}
	others := u.total() - u.claimed(c)
	switch {
	case !counts && others+size > q.limit:
		return errors.Join(q.exceededError(name, others), q.countRefused(ctx, u, c, name, blob, size))
	case made > 0 && u.allFiles()+made+filesOfBlob > q.files:
		return errors.Join(q.tooManyFilesError(name), q.countRefused(ctx, u, c, name, blob, size))
	}
	if err := put(); err != nil {
		u.counted = time.Time{} // whether it was made, the storage knows
		return err
	}
	u.files += made
	if !counts {
		u.add(blob, size)
		u.transfer(c)
	}
	return nil
}

func (u *usage) add(blob digest.Digest, size int64) { u.blobs[blob], u.used = size, u.used+size }

// transfer clears a claim whose bytes count elsewhere now.
func (u *usage) transfer(c *claim) {
	if c == nil || c.usage != u {
		return
	}
	u.pending -= c.bytes
	c.bytes = 0
	if c.open != nil {
		c.open.bytes = 0
	}
}

// countRefused counts a blob that came with this request and was refused: it is in the storage all the same. A blob
// that was to be mounted came with another request.
func (q *quota) countRefused(ctx context.Context, u *usage, c *claim, name string, blob digest.Digest, size int64) error {
	if _, counts := u.blobs[blob]; counts || c == nil || c.usage != u || u.claimed(c) == 0 {
		return nil
	}
	u.add(blob, size)
	u.transfer(c)
	return q.record(ctx, name, blob)
}

// unlink removes a link. The blob counts until it is gone from the storage.
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

// record has a blob count for a namespace without a link to it, until garbage collection finds it gone.
func (q *quota) record(ctx context.Context, name string, blob digest.Digest) error {
	return q.storage.PutContent(ctx, gc.UnlinkedFile(name, blob), []byte(blob))
}
