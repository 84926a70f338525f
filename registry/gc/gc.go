// Package gc frees what nothing in a registry's storage refers to any more, on any of distribution's storage drivers. It
//
//	lists   what is there, from the paths and the times of all files,
//	reads   the manifests, and with Untagged the tags,
//	marks   what they reach, repository by repository, and what is too recent to tell,
//	removes the rest: references before that to which they refer.
//
// Nobody may write meanwhile, except to a cache, which fetches again what it misses; reading goes on. Wherever it is cut
// off, all that is reached is still there. Distribution's own collector is not used: it spares nothing recent, takes
// layers from a repository when only another one still refers to them, and does not know blobs that a client calls by
// another digest than sha256.
package gc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
)

// Options are those of a collection.
type Options struct {
	Untagged bool          `json:"untagged"` // remove manifests without a tag, too
	DryRun   bool          `json:"dry_run"`  // remove nothing
	Grace    time.Duration `json:"grace"`    // what is younger stays: its manifest may still be to come
	Cache    bool          `json:"-"`        // keep only images that, or whose tags, are younger than Grace: a cache can fetch the others again

	Report Reporter `json:"-"`
}

// A Reporter is told what a collection does.
type Reporter interface {
	Step(format string, args ...any)
}

// Result is what was freed, or would be.
type Result struct {
	Manifests int   `json:"manifests"` // in a repository
	Layers    int   `json:"layers"`    // in a repository: the same blob may be in several
	Blobs     int   `json:"blobs"`     // in the storage: each takes its place only once
	Uploads   int   `json:"uploads"`   // that were broken off
	Bytes     int64 `json:"bytes"`
}

// Error is damage that ends a collection, because what it referred to could be lost, or a failing storage.
type Error struct {
	Err  error
	hint string
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint returns what mends it.
func (e *Error) Hint() string { return e.hint }

// Run collects garbage. With an error it returns what was freed until then.
func Run(ctx context.Context, storage driver.StorageDriver, o Options) (Result, error) {
	freed, err := run(ctx, storage, o)
	var known *Error
	if err == nil || ctx.Err() != nil || errors.As(err, &known) {
		return freed, err
	}
	return freed, &Error{
		Err:  fmt.Errorf("the registry's storage fails: %w", err),
		hint: "see whether its disk or bucket is well, and collect again then: nothing that is referred to was removed",
	}
}

func run(ctx context.Context, storage driver.StorageDriver, o Options) (Result, error) {
	c := &collection{Options: o, storage: storage, before: time.Now().Add(-o.Grace), repositories: map[string]*repository{}, recent: map[string]bool{}}
	if err := c.list(ctx); err != nil {
		return Result{}, fmt.Errorf("look at what is in the registry: %w", err)
	}
	if err := c.read(ctx); err != nil {
		return Result{}, err
	}
	c.mark()
	if err := errors.Join(c.listBlobs(ctx), c.listUnlinked(ctx)); err != nil {
		return Result{}, fmt.Errorf("look at the registry's blobs: %w", err)
	}
	return c.removeGarbage(ctx)
}

// collection is what is known, step by step.
type collection struct {
	Options
	storage driver.StorageDriver
	before  time.Time // what has changed since then is recent

	repositories map[string]*repository
	references   map[string][]string // of each manifest, by its digest
	subjects     map[string]string   // of a manifest that is about another: the other's digest, by its own
	keep         map[string]bool     // digests of blobs
	garbage      []item
	recent       map[string]bool // digests of blobs that nothing refers to, and that stay
}
