package glance

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/singleflight"

	"ndock/registry/auth/keystone"
	"ndock/registry/internal/turns"
)

// Options are what a registry is made with.
type Options struct {
	Open        Opener
	OpenUploads int // of a project at a time
	Idle        time.Duration
	Log         *slog.Logger
}

// DefaultIdle is after which time an upload ends that stands still.
const DefaultIdle = 5 * time.Minute

// Registry is a distribution.Namespace of the images that its users have in Glance. It keeps uploads and small blobs in memory.
type Registry struct {
	open     Opener
	log      *slog.Logger
	uploads  *uploads
	small    *smallBlobs
	known    *known
	storing  *turns.Turns       // of images
	reading  *turns.Turns       // of what is in one
	deleting *turns.Turns       // of blobs
	reads    singleflight.Group // what is read of an image
}

var _ distribution.Namespace = (*Registry)(nil)

// New returns a registry. It has to be closed.
func New(o Options) *Registry {
	if o.Idle == 0 {
		o.Idle = DefaultIdle
	}
	return &Registry{
		open: o.Open, log: o.Log, uploads: newUploads(o.OpenUploads, o.Idle),
		small: newSmallBlobs(), known: newKnown(), storing: turns.New(maxStoring, maxStoringOfProject, turnWithin),
		reading:  turns.New(maxReading, maxReadingOfProject, turnWithin),
		deleting: turns.New(maxDeleting, maxDeletingOfProject, turnWithin),
	}
}

// Close ends the uploads that are open.
func (r *Registry) Close() { r.uploads.close() }

// Scope implements distribution.Namespace.
func (r *Registry) Scope() distribution.Scope { return distribution.GlobalScope }

// Repository implements distribution.Namespace. The repository is good for one request.
func (r *Registry) Repository(ctx context.Context, name reference.Named) (distribution.Repository, error) {
	who, err := userOf(ctx)
	if err != nil {
		return nil, r.explain(ctx, "open a repository", err)
	}
	token, err := who.Token(ctx, name.Name())
	if err != nil {
		return nil, r.explain(ctx, "get a token for a repository", err)
	}
	login := NewLogin(token)
	project, err := r.open(ctx, login)
	if err != nil {
		return nil, r.explain(ctx, "open a project", err)
	}
	_, short, _ := strings.Cut(name.Name(), "/")
	return &repository{Registry: r, name: name, short: short, login: login, project: project, owner: owner{project: project.ID(), user: who.Name()}}, nil
}

// Repositories implements distribution.Namespace: those of the user's projects.
func (r *Registry) Repositories(ctx context.Context, names []string, last string) (int, error) {
	who, err := userOf(ctx)
	if err != nil {
		return 0, r.explain(ctx, "list repositories", err)
	}
	filled, full := 0, false
	err = who.Tokens(ctx, last, func(project string, token keystone.Token) (bool, error) {
		all, err := r.repositoriesOf(ctx, project, token)
		if err != nil {
			return false, err
		}
		for _, one := range all {
			if one <= last {
				continue
			}
			if full = filled == len(names); full {
				return false, nil
			}
			names[filled] = one
			filled++
		}
		return true, nil
	})
	switch {
	case err != nil:
		return 0, r.explain(ctx, "list repositories", err)
	case full:
		return filled, nil
	}
	return filled, io.EOF
}

// repositoriesOf returns the names of a project's repositories, sorted.
func (r *Registry) repositoriesOf(ctx context.Context, name string, token keystone.Token) ([]string, error) {
	project, err := r.open(ctx, NewLogin(token))
	if err != nil {
		return nil, err
	}
	images, err := project.Images(ctx, "")
	var refused *Refused
	if errors.As(err, &refused) && refused.Kind == Denied {
		return nil, nil // that he may not look into this project does not hide the others
	}
	if err != nil {
		return nil, err
	}
	var all []string
	for _, one := range images {
		if full, err := reference.WithName(name + "/" + one.Repository); err == nil {
			all = append(all, full.Name())
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// Remove implements distribution.RepositoryRemover. A repository ends with its last image.
func (r *Registry) Remove(context.Context, reference.Named) error { return distribution.ErrUnsupported }

// Blobs implements distribution.Namespace. Nobody can list all blobs.
func (r *Registry) Blobs() distribution.BlobEnumerator { return none{} }

// BlobStatter implements distribution.Namespace. No blob is there without a repository.
func (r *Registry) BlobStatter() distribution.BlobStatter { return none{} }

// none has no blobs.
type none struct{}

// Enumerate implements distribution.BlobEnumerator.
func (none) Enumerate(context.Context, func(digest.Digest) error) error {
	return distribution.ErrUnsupported
}

// Stat implements distribution.BlobStatter.
func (none) Stat(context.Context, digest.Digest) (v1.Descriptor, error) {
	return v1.Descriptor{}, distribution.ErrBlobUnknown
}
