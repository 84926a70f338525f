package serve

import (
	"context"
	"net/http"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"ndock/registry/internal/turns"
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
type manifestBodies struct{ turns *turns.Turns }

func newManifestBodies(within time.Duration) manifestBodies {
	return manifestBodies{turns.New(maxManifestBytes, maxManifestBytesOfGroup, within)}
}

// enter waits until there is room for a manifest of so many bytes; -1 for an unknown number. The returned function ends its turn.
func (m manifestBodies) enter(ctx context.Context, group string, bytes int64) (leave func(), why *refusal.Refusal) {
	if bytes < 0 || bytes > storage.MaxManifest {
		bytes = storage.MaxManifest
	}
	leave, err := m.turns.Enter(ctx, group, max(bytes, minManifestBytes))
	if err != nil {
		return nil, errManyManifests
	}
	return leave, nil
}
