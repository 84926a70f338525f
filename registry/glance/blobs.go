package glance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	maxSmallBlob = 1 << 20         // larger ones are images of their own
	smallRead    = 2 * time.Minute // for bytes that are read into memory
	maxSearched  = 1000            // images of a repository that are looked through for a blob
	maxLoaded    = 100             // of which so many are read in one request of a push
)

const anyType = "application/octet-stream"

// located is where a blob is: in memory, or in Glance.
type located struct {
	Blob
	content []byte // nil for one in Glance
	layer   bool   // it is an image of its own
	inside  bool   // it is in the own bytes of an image
}

func inMemory(d digest.Digest, content []byte) located {
	return located{Blob: Blob{Digest: d, Size: int64(len(content))}, content: content}
}

// known256 returns whether a digest is one that the registry can know.
func known256(d digest.Digest) bool { return d.Validate() == nil && d.Algorithm() == digest.SHA256 }

// find returns where a blob is; distribution.ErrBlobUnknown for nowhere.
func (r *repository) find(ctx context.Context, d digest.Digest) (located, error) {
	if !known256(d) {
		return located{}, distribution.ErrBlobUnknown
	}
	if content, ok := r.small.get(r.owner, d); ok {
		return inMemory(d, content), nil
	}
	if found, ok := r.known.layer(r.owner.project, d); ok {
		return located{Blob: found, layer: true}, nil
	}
	if found, ok := r.known.insideOf(r.owner.project, d); ok {
		return located{Blob: found, inside: true}, nil
	}
	layers, err := r.layers(ctx, []digest.Digest{d})
	if err != nil {
		return located{}, err
	}
	if found, ok := layers[d]; ok {
		return located{Blob: found, layer: true}, nil
	}
	found, err := r.findInside(ctx, d)
	return located{Blob: found, inside: true}, err
}

// layers returns those blobs that are images of their own, as Glance has them now.
func (r *repository) layers(ctx context.Context, blobs []digest.Digest) (map[digest.Digest]Blob, error) {
	if len(blobs) == 0 {
		return nil, nil
	}
	found, err := r.project.Layers(ctx, blobs)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, r.explain(ctx, "find layers", err)
	}
	for _, d := range blobs {
		one, there := found[d]
		if !there || one.Digest != d || !valid(one) {
			r.known.noLayer(r.owner.project, d)
			delete(found, d)
			continue
		}
		r.known.addLayer(r.owner.project, one)
	}
	return found, nil
}

// valid returns whether a blob can be what Glance says.
func valid(b Blob) bool { return known256(b.Digest) && b.Size >= 0 && b.Offset >= 0 && b.Image != "" }

// findInside looks for a blob in the own bytes of the repository's images, the newest first. What it has read is remembered. For
// a push it gives up after a while: what it has not found is pushed again.
func (r *repository) findInside(ctx context.Context, d digest.Digest) (Blob, error) {
	images, err := r.images(ctx)
	if err != nil {
		return Blob{}, err
	}
	loaded, most := 0, maxLoaded
	if isGet(ctx) {
		most = maxSearched
	}
	for _, image := range images[:min(len(images), maxSearched)] {
		if r.known.isBroken(r.owner.project, image.ID) {
			continue
		}
		if _, ok := r.known.ofImage(r.owner.project, image.ID); !ok && !r.known.isDamaged(r.owner.project, image.ID) {
			if loaded++; loaded > most {
				break
			}
		}
		blobs, err := r.contents(ctx, image)
		switch {
		case missing(err):
			continue
		case isUnavailable(err) && ctx.Err() == nil: // one image does not get in the way of the others
			r.known.addBroken(r.owner.project, image.ID)
			r.log.Warn("Glance does not deliver an image: it is left out of searches for a while", "repository", r.name.Name(), "image", image.ID, "error", err)
			continue
		case err != nil:
			return Blob{}, r.explain(ctx, "read what is in an image", err)
		}
		for _, one := range blobs {
			if one.Digest == d {
				return one, nil
			}
		}
	}
	return Blob{}, distribution.ErrBlobUnknown
}

// isGet returns whether a client wants bytes that it cannot push. A context of distribution's knows its request.
func isGet(ctx context.Context) bool { return ctx.Value("http.request.method") == http.MethodGet }

// images returns the repository's images, as they were some seconds ago.
func (r *repository) images(ctx context.Context) ([]Image, error) {
	if images, ok := r.known.images(r.owner.project, r.short); ok {
		return images, nil
	}
	return r.imagesNow(ctx)
}

func (r *repository) imagesNow(ctx context.Context) ([]Image, error) {
	images, err := r.project.Images(ctx, r.short)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, r.explain(ctx, "list images", err)
	}
	r.known.addImages(r.owner.project, r.short, images)
	return images, nil
}

// missing returns whether an error says that something is not there, or damaged: it can be pushed again.
func missing(err error) bool { return errors.Is(err, ErrNotFound) || errors.Is(err, errDamaged) }

// isUnavailable returns whether an error says that Glance could not deliver something, or not in time.
func isUnavailable(err error) bool {
	var refused *Refused
	return errors.As(err, &refused) && refused.Kind == Unavailable || errors.Is(err, context.DeadlineExceeded)
}

// errDamaged is the error of an image whose bytes are not what a registry has made.
var errDamaged = errors.New("the image's bytes are damaged")

// contents returns the blobs that are in an image's own bytes. Anybody in the project may have made the image of anything.
func (r *repository) contents(ctx context.Context, image Image) ([]Blob, error) {
	if blobs, ok := r.known.ofImage(r.owner.project, image.ID); ok {
		return blobs, nil
	}
	if r.known.isDamaged(r.owner.project, image.ID) {
		return nil, fmt.Errorf("%w: image %s", errDamaged, image.ID)
	}
	key := strings.Join([]string{r.owner.project, r.owner.user, image.ID}, "\x00") // one user's token is not another's
	done := r.reads.DoChan(key, func() (any, error) { return r.readContents(context.WithoutCancel(ctx), image) })
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case read := <-done:
		blobs, _ := read.Val.([]Blob)
		return blobs, read.Err
	}
}

// readContents reads what is in an image, once for all requests that wait for it.
func (r *repository) readContents(ctx context.Context, image Image) ([]Blob, error) {
	leave, err := r.turn(ctx, r.reading)
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, smallRead)
	defer cancel()
	blobs, err := r.project.Contents(ctx, image)
	var refused *Refused
	switch {
	case errors.Is(err, ErrNotFound), errors.As(err, &refused), ctx.Err() != nil:
		return nil, err
	case len(blobs) > maxOfImage:
		err = fmt.Errorf("it has more than %d blobs", maxOfImage)
	}
	if err != nil {
		r.known.addDamaged(r.owner.project, image.ID)
		r.log.Warn("an image in Glance cannot be read, and counts as missing", "repository", r.name.Name(), "image", image.ID, "error", err)
		return nil, fmt.Errorf("%w: image %s: %w", errDamaged, image.ID, err)
	}
	var found []Blob
	for _, one := range blobs {
		if valid(one) && one.Image == image.ID {
			found = append(found, one)
		}
	}
	r.known.addImage(r.owner.project, image.ID, found)
	return found, nil
}

// read returns the bytes of a blob of at most so many, once it has verified them. The errors are those of a Project, and errDamaged.
func (r *repository) read(ctx context.Context, b located, most int64) ([]byte, error) {
	if b.content != nil {
		return b.content, nil
	}
	if b.Size > most {
		return nil, fmt.Errorf("%w: blob %s of image %s has %d bytes", errDamaged, b.Digest, b.Image, b.Size)
	}
	ctx, cancel := context.WithTimeout(ctx, smallRead)
	defer cancel()
	from, err := r.project.Open(ctx, b.Blob, 0)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	content := make([]byte, b.Size)
	if _, err := io.ReadFull(from, content); err != nil {
		return nil, fmt.Errorf("read blob %s of image %s: %w", b.Digest, b.Image, err)
	}
	if digest.FromBytes(content) != b.Digest {
		return nil, r.another(b.Blob)
	}
	return content, nil
}

// verify reads a blob that is in the own bytes of an image, once: the image never changes, but anybody in the project may have made
// it of anything. The errors are those of read.
func (r *repository) verify(ctx context.Context, b Blob) error {
	if r.known.isVerified(r.owner.project, b) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, smallRead)
	defer cancel()
	from, err := r.project.Open(ctx, b, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	verifier := b.Digest.Verifier()
	if _, err := io.CopyN(verifier, from, b.Size); err != nil {
		return fmt.Errorf("read blob %s of image %s: %w", b.Digest, b.Image, err)
	}
	if !verifier.Verified() {
		return r.another(b)
	}
	r.known.addVerified(r.owner.project, b)
	return nil
}

// another forgets a blob whose bytes have another digest, and its image: the blob may be in another one, too.
func (r *repository) another(b Blob) error {
	r.known.gone(r.owner.project, b)
	r.known.addBroken(r.owner.project, b.Image)
	r.log.Error("an image in Glance is damaged: a blob is another one", "repository", r.name.Name(), "image", b.Image, "digest", b.Digest)
	return fmt.Errorf("%w: blob %s of image %s is another one", errDamaged, b.Digest, b.Image)
}

type blobs struct{ *repository }

// Stat implements distribution.BlobStore.
func (b *blobs) Stat(ctx context.Context, d digest.Digest) (v1.Descriptor, error) {
	found, err := b.find(ctx, d)
	if err != nil {
		return v1.Descriptor{}, err
	}
	return v1.Descriptor{MediaType: anyType, Digest: d, Size: found.Size}, nil
}

// Get implements distribution.BlobStore.
func (b *blobs) Get(ctx context.Context, d digest.Digest) ([]byte, error) {
	found, err := b.find(ctx, d)
	if err != nil {
		return nil, err
	}
	content, err := b.read(ctx, found, MaxManifest)
	if err != nil {
		return nil, b.explain(ctx, "read a blob", err)
	}
	return content, nil
}

// Open implements distribution.BlobStore.
func (b *blobs) Open(ctx context.Context, d digest.Digest) (io.ReadSeekCloser, error) {
	found, err := b.find(ctx, d)
	if err != nil {
		return nil, err
	}
	return b.reader(ctx, found), nil
}

func (b *blobs) reader(ctx context.Context, from located) io.ReadSeekCloser {
	if from.content != nil {
		return memory{bytes.NewReader(from.content)}
	}
	return &reader{ctx: ctx, project: b.project, blob: from.Blob}
}

// Put implements distribution.BlobStore.
func (b *blobs) Put(context.Context, string, []byte) (v1.Descriptor, error) {
	return v1.Descriptor{}, distribution.ErrUnsupported
}

// Delete implements distribution.BlobStore. What a stored image needs stays. Blobs that are images of their own are the project's:
// they go from all of its repositories.
func (b *blobs) Delete(ctx context.Context, d digest.Digest) error {
	if !known256(d) {
		return distribution.ErrBlobUnknown
	}
	b.known.changed(b.owner.project, b.short)
	switch _, err := b.findInside(ctx, d); {
	case err == nil:
		return b.explain(ctx, "delete a blob", errNeeded)
	case !errors.Is(err, distribution.ErrBlobUnknown):
		return err
	}
	leave, err := b.turn(ctx, b.deleting)
	if err != nil {
		return b.explain(ctx, "wait for a turn", err)
	}
	defer leave()
	err = b.project.Condemn(ctx, d)
	b.known.forget(b.owner.project, d)
	switch {
	case errors.Is(err, ErrNeeded):
		return b.explain(ctx, "delete a blob", errNeeded)
	case err != nil && !errors.Is(err, ErrNotFound):
		return b.explain(ctx, "delete a blob", err)
	}
	if inMemory := b.small.drop(b.owner, d); err != nil && !inMemory {
		return distribution.ErrBlobUnknown
	}
	return nil
}

// Create implements distribution.BlobStore. A blob of another repository is there if that is in the same project.
func (b *blobs) Create(ctx context.Context, options ...distribution.BlobCreateOption) (distribution.BlobWriter, error) {
	var wanted distribution.CreateOptions
	for _, one := range options {
		if err := one.Apply(&wanted); err != nil {
			return nil, err
		}
	}
	if from := wanted.Mount.From; wanted.Mount.ShouldMount && from != nil {
		if found, err := b.mounted(ctx, from); err == nil {
			return nil, distribution.ErrBlobMounted{From: from, Descriptor: found}
		}
	}
	u, err := b.uploads.create(b.repository)
	if err != nil {
		return nil, b.explain(ctx, "begin an upload", err)
	}
	return &writer{repository: b.repository, ctx: ctx, upload: u}, nil
}

// mounted returns a blob of another repository of the same project.
func (b *blobs) mounted(ctx context.Context, from reference.Canonical) (v1.Descriptor, error) {
	other, err := b.Repository(ctx, reference.TrimNamed(from))
	if err != nil {
		return v1.Descriptor{}, err
	}
	if there := other.(*repository); there.owner != b.owner {
		return v1.Descriptor{}, distribution.ErrBlobUnknown
	}
	return other.Blobs(ctx).Stat(ctx, from.Digest())
}

// Resume implements distribution.BlobStore.
func (b *blobs) Resume(ctx context.Context, id string) (distribution.BlobWriter, error) {
	u := b.uploads.get(b.repository, id)
	if u == nil {
		return nil, distribution.ErrBlobUploadUnknown
	}
	return &writer{repository: b.repository, ctx: ctx, upload: u, offset: u.size.Load()}, nil
}
