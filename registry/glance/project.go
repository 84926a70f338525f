package glance

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Project is what the registry does with the images of one project. Everything is done with one user's token, so Glance
// decides what he may. What is not there is ErrNotFound, and what Glance refuses is a *Refused.
type Project interface {
	// ID is Keystone's id of the project.
	ID() string

	// Layers returns those of the blobs that are images of their own, by their digests.
	Layers(ctx context.Context, blobs []digest.Digest) (map[digest.Digest]Blob, error)
	// Memory returns how many bytes of memory SendLayer may take for a blob that begins with these bytes; the most if they are few.
	Memory(head []byte) int64
	// SendLayer makes an image of a blob. It reads the content to its end, then asks complete for the digest, and keeps nothing
	// if that returns an error.
	SendLayer(ctx context.Context, content io.Reader, complete func() (digest.Digest, error)) (Blob, error)
	// Condemn has pushes not find a blob any more that is an image of its own, and what nobody needs is deleted some day. It
	// returns ErrNeeded, and the blob stays, if an image of the project needs it.
	Condemn(ctx context.Context, blob digest.Digest) error
	// Open returns the bytes of a blob from an offset on.
	Open(ctx context.Context, blob Blob, offset int64) (io.ReadCloser, error)

	// Images returns the images that have a manifest, the newest first: those of one repository, or of all where it is "".
	Images(ctx context.Context, repository string) ([]Image, error)
	// Tagged returns the newest image of a repository with this tag.
	Tagged(ctx context.Context, repository, tag string) (Image, error)
	// WithDigest returns an image of a repository whose manifest has this digest, tagged or not; a tagged one if there is one.
	WithDigest(ctx context.Context, repository string, manifest digest.Digest) (Image, error)
	// Referrers returns the images of a repository whose manifests are about another: signatures, attestations; the newest first.
	Referrers(ctx context.Context, repository string, subject digest.Digest) ([]Image, error)
	// Contents lists the blobs that are in the image's own bytes: first the manifest of what hosts boot, then those of an index,
	// configurations and small layers. They never change. Any error that is neither ErrNotFound nor a *Refused says that the image is damaged.
	Contents(ctx context.Context, image Image) ([]Blob, error)

	// Store makes an image of a manifest whose blobs are all there, and takes the tag from the images that had it. If blobs
	// that were there are gone by then, it keeps nothing and returns ErrBlobsGone.
	Store(ctx context.Context, manifest Manifest) (Image, error)
	// Untag takes an image's tag away. It is still found by its digest.
	Untag(ctx context.Context, image Image) error
	// Delete removes an image. Its layers stay for others.
	Delete(ctx context.Context, image Image) error
}

// Blob is where in Glance the bytes of a blob are.
type Blob struct {
	Digest digest.Digest
	Size   int64  // in bytes
	Image  string // id in Glance
	Offset int64  // in the image's bytes; 0 in one that is this blob
}

// Image is an image in Glance that a manifest was made of.
type Image struct {
	ID         string
	Repository string // without the project
	Tag        string // "" for one that has none, or no more
	Digest     digest.Digest
	Created    time.Time
}

// Manifest is what an image in Glance is made of.
type Manifest struct {
	Repository, Tag string // Tag is "" for one that is pushed by its digest
	Descriptor      v1.Descriptor
	Payload         []byte
	Subject         digest.Digest // the manifest that this one is about; "" for none
	Parts           []Part        // of a manifest: its configuration, then its layers, in their order
	Manifests       []Manifest    // of an index, in their order
}

// Part is a blob that a manifest names.
type Part struct {
	Descriptor v1.Descriptor
	Image      string // id in Glance of the image that is this blob; a hint
	Content    []byte // of one that is no image of its own
}

// The errors of a Project, which callers can tell apart.
var (
	ErrNotFound  = errors.New("there is no such image in Glance")
	ErrBlobsGone = errors.New("not all layers of the image are in Glance any more")
	ErrNeeded    = errors.New("an image in Glance needs the blob")
)

// Refused is the error about what Glance does not do for this user, in a sentence for him.
type Refused struct {
	Reason error
	Kind   RefusedKind
}

func (r *Refused) Error() string { return r.Reason.Error() }

func (r *Refused) Unwrap() error { return r.Reason }

// RefusedKind tells what helps.
type RefusedKind int

// The kinds.
const (
	Denied       RefusedKind = iota // he may not: policy, quota
	Unavailable                     // Glance is away: try again later
	LoginExpired                    // log in anew
)
