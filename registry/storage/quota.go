package storage

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/docker/go-units"
	"github.com/opencontainers/go-digest"
)

// A quota limits what each namespace takes of the storage: the blobs that its repositories have links to, each counted
// once; the blobs that they had links to, until garbage collection removes them; and what has come of incomplete
// uploads. A namespace is the first part of a repository's name. With Keystone it is a project, whose id and name are
// one namespace. Usage is counted in the storage, and kept for a while.
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

func newQuota(limit int64, uploads int, storage storagedriver.StorageDriver) *quota {
	return &quota{limit: limit, uploads: uploads, storage: storage, all: map[string]*usage{}, ids: map[string]string{}}
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

func (q *quota) exceededError(name string, used int64) *Refusal {
	return &Refusal{
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
