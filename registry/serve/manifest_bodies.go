package serve

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"golang.org/x/sync/semaphore"

	"ndock/registry/refusal"
	"ndock/registry/storage"
)

// How many bytes of manifests are in memory at a time. Each takes some times as much while it is read and stored.
const (
	maxManifestBytes        = 32 << 20
	maxManifestBytesOfGroup = 8 << 20
	minManifestBytes        = 16 << 10 // that each counts at least
	manifestTurnWithin      = 30 * time.Second
	manifestWithin          = time.Minute // until it has come
)

var (
	errManyManifests   = &refusal.Refusal{Status: http.StatusServiceUnavailable, Code: errcode.ErrorCodeUnavailable, Message: "the registry has too many manifests to store: try again later", RetryAfter: refusal.RetryUploads}
	errTooManyElements = &refusal.Refusal{Status: http.StatusBadRequest, Code: errcode.ErrorCodeManifestInvalid, Message: "the manifest has too many elements"}
	errManifestTooLate = &refusal.Refusal{Status: http.StatusRequestTimeout, Code: errcode.ErrorCodeUnavailable, Message: "the manifest did not come in time"}
)

// manifestBodies bounds the memory that manifests take. What belongs to one group of repositories, as all of a project, waits for
// itself first.
type manifestBodies struct {
	within time.Duration
	all    *semaphore.Weighted
	lock   sync.Mutex
	groups map[string]*manifestGroup
}

type manifestGroup struct {
	all   *semaphore.Weighted
	users int
}

func newManifestBodies() *manifestBodies {
	return &manifestBodies{within: manifestTurnWithin, all: semaphore.NewWeighted(maxManifestBytes), groups: map[string]*manifestGroup{}}
}

// enter waits until there is room for a manifest of so many bytes; -1 for an unknown number. The returned function ends its turn.
func (m *manifestBodies) enter(ctx context.Context, group string, bytes int64) (leave func(), why *refusal.Refusal) {
	if bytes < 0 || bytes > storage.MaxManifest {
		bytes = storage.MaxManifest
	}
	bytes = max(bytes, minManifestBytes)
	ctx, cancel := context.WithTimeout(ctx, m.within)
	defer cancel()
	of := m.of(group)
	if of.all.Acquire(ctx, bytes) != nil {
		m.done(group, of)
		return nil, errManyManifests
	}
	if m.all.Acquire(ctx, bytes) != nil {
		of.all.Release(bytes)
		m.done(group, of)
		return nil, errManyManifests
	}
	return func() {
		m.all.Release(bytes)
		of.all.Release(bytes)
		m.done(group, of)
	}, nil
}

func (m *manifestBodies) of(group string) *manifestGroup {
	m.lock.Lock()
	defer m.lock.Unlock()
	of := m.groups[group]
	if of == nil {
		of = &manifestGroup{all: semaphore.NewWeighted(maxManifestBytesOfGroup)}
		m.groups[group] = of
	}
	of.users++
	return of
}

func (m *manifestBodies) done(group string, of *manifestGroup) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if of.users--; of.users == 0 {
		delete(m.groups, group)
	}
}
