package serve

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/api/errcode"

	"ndock/registry/internal/turns"
	"ndock/registry/refusal"
	"ndock/registry/storage"
)

// How many bytes of manifests that come are in memory at a time. Each takes some times as much while it is read and stored.
const (
	maxManifestBytes             = 32 << 20
	maxManifestBytesOfGroup      = 8 << 20
	maxSmallManifestBytes        = 16 << 20
	maxSmallManifestBytesOfGroup = 2 << 20
	smallManifest                = 256 << 10
	minManifestBytes             = 16 << 10 // that each counts at least
	manifestTurnWithin           = 30 * time.Second
	manifestWithin               = time.Minute // until it has come
)

var (
	errManyManifests   = &refusal.Refusal{Status: http.StatusServiceUnavailable, Code: errcode.ErrorCodeUnavailable, Message: "the registry has too many manifests to store: try again later", RetryAfter: refusal.RetryUploads}
	errTooManyElements = &refusal.Refusal{Status: http.StatusBadRequest, Code: errcode.ErrorCodeManifestInvalid, Message: "the manifest has too many elements"}
	errManifestTooLate = &refusal.Refusal{Status: http.StatusRequestTimeout, Code: errcode.ErrorCodeUnavailable, Message: "the manifest did not come in time"}
)

// manifestRoom bounds the memory that manifests take. Small ones have room of their own, so that none waits for large ones. A
// group waits for itself first.
type manifestRoom struct{ small, large *turns.Turns }

// enter waits until there is room for so many bytes. The returned function ends the turn.
func (m manifestRoom) enter(ctx context.Context, group string, bytes int64) (leave func(), err error) {
	if bytes <= smallManifest {
		return m.small.Enter(ctx, group, max(bytes, minManifestBytes))
	}
	return m.large.Enter(ctx, group, bytes)
}

// manifestBodies are the manifests that come. A group is all repositories of a project, or those whose names begin with the same part.
type manifestBodies struct {
	room   manifestRoom
	within time.Duration // until one has come
}

func newManifestBodies(turnWithin, within time.Duration) manifestBodies {
	return manifestBodies{manifestRoom{
		small: turns.New(maxSmallManifestBytes, maxSmallManifestBytesOfGroup, turnWithin),
		large: turns.New(maxManifestBytes, maxManifestBytesOfGroup, turnWithin),
	}, within}
}

// enter waits until there is room for a manifest of so many bytes; -1 for an unknown number. The returned function ends its turn.
func (m manifestBodies) enter(ctx context.Context, group string, bytes int64) (leave func(), why *refusal.Refusal) {
	if bytes < 0 || bytes > storage.MaxManifest {
		bytes = storage.MaxManifest
	}
	leave, err := m.room.enter(ctx, group, bytes)
	if err != nil {
		return nil, errManyManifests
	}
	return leave, nil
}

// projectNames has the ids of the projects whose repositories were called by the project's name.
type projectNames struct{ ids sync.Map }

// hear has the logins tell of each such project before they let a request pass.
func (p *projectNames) hear(logins configuration.Parameters) {
	if logins == nil {
		return
	}
	other, _ := logins["project"].(func(id, name string))
	logins["project"] = func(id, name string) {
		p.ids.Store(name, id)
		if other != nil {
			other(id, name)
		}
	}
}

// group returns the project of a repository by its id, where that is known, or else the first part of the repository's name.
func (p *projectNames) group(repository string) string {
	first, _, _ := strings.Cut(repository, "/")
	if id, ok := p.ids.Load(first); ok {
		return id.(string)
	}
	return first
}
