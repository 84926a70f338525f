package glance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/go-digest"
)

// ServeBlob implements distribution.BlobStore. It begins an answer only when Glance gives the blob.
func (b *blobs) ServeBlob(ctx context.Context, w http.ResponseWriter, r *http.Request, d digest.Digest) error {
	err := b.serve(ctx, w, r, d)
	if missing(err) { // it was there some minutes ago, and may be elsewhere now
		err = b.serve(ctx, w, r, d)
	}
	switch {
	case missing(err), errors.Is(err, distribution.ErrBlobUnknown):
		return errcode.ErrorCodeBlobUnknown.WithDetail(d)
	case err != nil:
		return b.explain(ctx, "read a blob", err)
	}
	return nil
}

func (b *blobs) serve(ctx context.Context, w http.ResponseWriter, r *http.Request, d digest.Digest) error {
	found, err := b.find(ctx, d)
	if err != nil {
		return err
	}
	if found.inside && r.Method != http.MethodHead {
		if err := b.verify(ctx, found.Blob); err != nil {
			return err
		}
	}
	from := b.reader(ctx, found)
	defer from.Close()
	if strings.Contains(r.Header.Get("Range"), ",") { // each range would be a request to Glance
		r = r.Clone(ctx)
		r.Header.Del("Range")
	}
	answer := &opening{ResponseWriter: w, from: from, wanted: r.Method != http.MethodHead}
	header := w.Header()
	header.Set("ETag", strconv.Quote(d.String()))
	header.Set("Cache-Control", "max-age=31536000")
	header.Set("Docker-Content-Digest", d.String())
	header.Set("Content-Type", anyType)
	http.ServeContent(answer, r, "", time.Time{}, from)
	if answer.failed == nil {
		return nil
	}
	for _, name := range []string{"ETag", "Cache-Control", "Docker-Content-Digest", "Content-Type", "Content-Length", "Content-Range", "Accept-Ranges"} {
		header.Del(name)
	}
	if errors.Is(answer.failed, ErrNotFound) {
		b.known.gone(b.owner.project, found.Blob)
	}
	return answer.failed
}

// opening opens a blob before it begins the answer with it, and begins none if that fails.
type opening struct {
	http.ResponseWriter
	from   io.Reader
	wanted bool // the blob, and not only what it is
	failed error
}

// WriteHeader implements http.ResponseWriter.
func (o *opening) WriteHeader(status int) {
	if closed, ok := o.from.(*reader); ok && o.wanted && status < http.StatusMultipleChoices {
		if o.failed = closed.open(); o.failed != nil {
			return
		}
	}
	o.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (o *opening) Write(p []byte) (int, error) {
	if o.failed != nil {
		return 0, o.failed
	}
	return o.ResponseWriter.Write(p)
}

// Unwrap returns the writer, for http.ResponseController.
func (o *opening) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// memory is a blob in memory.
type memory struct{ *bytes.Reader }

// Close implements io.Closer.
func (memory) Close() error { return nil }

// reader reads a blob of Glance. It opens it when it is read.
type reader struct {
	ctx     context.Context
	project Project
	blob    Blob
	at      int64
	from    io.ReadCloser
}

func (r *reader) open() error {
	if r.from != nil || r.at == r.blob.Size {
		return nil
	}
	from, err := r.project.Open(r.ctx, r.blob, r.at)
	if err != nil {
		return err
	}
	r.from = from
	return nil
}

// Read implements io.Reader. It never gives more than the blob has.
func (r *reader) Read(p []byte) (int, error) {
	left := r.blob.Size - r.at
	if left <= 0 {
		return 0, io.EOF
	}
	if err := r.open(); err != nil {
		return 0, err
	}
	n, err := r.from.Read(p[:min(int64(len(p)), left)])
	r.at += int64(n)
	if errors.Is(err, io.EOF) && r.at < r.blob.Size {
		err = fmt.Errorf("read blob %s of image %s: %w", r.blob.Digest, r.blob.Image, io.ErrUnexpectedEOF)
	}
	return n, err
}

// Seek implements io.Seeker.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.blob.Size
	}
	if offset < 0 || offset > r.blob.Size {
		return r.at, errors.New("there is no such place in the blob")
	}
	if offset != r.at {
		r.Close()
	}
	r.at = offset
	return offset, nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	if r.from == nil {
		return nil
	}
	from := r.from
	r.from = nil
	return from.Close()
}
