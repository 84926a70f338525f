package glance

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/registry/refusal"
)

// writer is an upload in one request.
type writer struct {
	*repository
	ctx    context.Context // of the request: to write takes none
	upload *upload
	offset int64 // how much of the upload had come before this request
	writes bool  // it is this request's turn
	stays  bool  // the upload, though this request fails
}

var _ distribution.BlobWriter = (*writer)(nil)

var errCancelled = &refusal.Refusal{
	Status: http.StatusNotFound, Code: errcode.ErrorCodeBlobUploadUnknown, Message: "the upload was cancelled, or is complete",
}

var errMoved = &refusal.Refusal{
	Status: http.StatusRequestedRangeNotSatisfiable, Code: errcode.ErrorCodeRangeInvalid, Resumable: true,
	Message: "another request has sent to this upload meanwhile: ask how much has come, and go on from there",
}

// ID implements distribution.BlobWriter.
func (w *writer) ID() string { return w.upload.id }

// Size implements distribution.BlobWriter.
func (w *writer) Size() int64 { return w.upload.size.Load() }

// StartedAt implements distribution.BlobWriter.
func (w *writer) StartedAt() time.Time { return w.upload.started }

// begin takes the turn to write. What others have written since this request began counts in none of its limits, so it may not go on.
func (w *writer) begin(ctx context.Context) error {
	if w.writes {
		return nil
	}
	w.writes = w.upload.take()
	if w.stays = !w.writes; w.stays {
		return w.explain(ctx, "write to an upload", refusal.Busy)
	}
	if w.stays = w.Size() != w.offset; w.stays {
		w.Close()
		return w.explain(ctx, "write to an upload", errMoved)
	}
	return nil
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if err := w.begin(w.ctx); err != nil {
		return 0, err
	}
	if w.upload.hold(p) {
		return len(p), nil
	}
	if err := w.send(w.ctx, p); err != nil {
		return 0, err
	}
	if err := w.upload.write(p); err != nil {
		w.upload.stop(err)
		return 0, w.explain(w.ctx, "send a layer to Glance", err)
	}
	return len(p), nil
}

// send begins to send the upload to Glance, unless it has. Without a turn nothing of next is taken, and the client may go on later.
func (w *writer) send(ctx context.Context, next []byte) error {
	if w.upload.to != nil {
		return nil
	}
	leave, err := w.upload.enter(ctx, next)
	if w.stays = err != nil; w.stays {
		return w.explain(ctx, "wait for the turn of an upload", err)
	}
	if err := w.upload.send(leave); err != nil {
		w.upload.stop(err)
		return w.explain(ctx, "send a layer to Glance", err)
	}
	return nil
}

// ReadFrom implements io.ReaderFrom. What cannot go on after a body was refused ends.
func (w *writer) ReadFrom(from io.Reader) (int64, error) {
	n, err := io.Copy(struct{ io.Writer }{w}, from)
	var refused *refusal.Refusal
	if errors.As(err, &refused) && !refused.Resumable {
		w.upload.stop(refused)
	}
	return n, err
}

// Close implements io.Closer. It ends what this request does, and not the upload.
func (w *writer) Close() error {
	if w.writes {
		w.writes = false
		w.upload.give()
	}
	return nil
}

// Cancel implements distribution.BlobWriter. Distribution calls it after each failure, also where the client is gone that waited
// for Glance: it may come back for the answer. Nor does a request end the upload while another one writes to it, or where it had
// no turn to send it.
func (w *writer) Cancel(context.Context) error {
	if !w.stays {
		w.upload.stop(errCancelled)
	}
	return nil
}

// Commit implements distribution.BlobWriter.
func (w *writer) Commit(ctx context.Context, said v1.Descriptor) (v1.Descriptor, error) {
	if err := w.begin(ctx); err != nil {
		return v1.Descriptor{}, err
	}
	size, d := w.Size(), digest.NewDigest(digest.SHA256, w.upload.hash)
	switch {
	case w.upload.stopped() != nil:
		return v1.Descriptor{}, w.explain(ctx, "complete an upload", w.upload.stopped())
	case said.Digest.Algorithm() != digest.SHA256:
		return v1.Descriptor{}, distribution.ErrBlobInvalidDigest{Digest: said.Digest, Reason: errors.New("this registry knows blobs by their sha256 digests only")}
	case said.Size > 0 && said.Size != size:
		return v1.Descriptor{}, distribution.ErrBlobInvalidLength
	case said.Digest != d:
		return v1.Descriptor{}, distribution.ErrBlobInvalidDigest{Digest: said.Digest, Reason: errors.New("content does not match digest")}
	}
	if err := w.store(ctx, d); err != nil {
		return v1.Descriptor{}, err
	}
	return v1.Descriptor{MediaType: anyType, Digest: d, Size: size}, nil
}

// store keeps the complete blob: in memory, or in Glance where that has no room.
func (w *writer) store(ctx context.Context, d digest.Digest) error {
	if w.upload.to == nil && w.small.put(w.owner, d, w.upload.head) {
		w.upload.stop(errCancelled)
		return nil
	}
	if err := w.send(ctx, nil); err != nil {
		return err
	}
	w.upload.idle.Reset(2 * w.uploads.idle) // Glance may have to copy it
	blob, err := w.upload.finish(ctx, d)
	if w.stays = ctx.Err() != nil; w.stays {
		return err
	}
	w.upload.stop(errCancelled)
	if err != nil {
		return w.explain(ctx, "send a layer to Glance", err)
	}
	w.known.addLayer(w.owner.project, blob)
	return nil
}
