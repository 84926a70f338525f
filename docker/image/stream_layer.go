package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"

	"ndock/docker/archive"
)

// errReadTwice stops a second reading of a layer, which would give the rest of it for the whole. HTTP clients read a
// body again when a connection broke, after a redirect and for a retry.
var errReadTwice = errors.New("a layer was requested again after part of it was sent")

// errNoDiffID is for methods that nobody calls on a layer that is sent while it is read.
var errNoDiffID = errors.New("a layer that is sent while it is read has no diff id yet")

// streamLayer is a layer that is sent while it is read.
type streamLayer interface {
	v1.Layer
	// opened reports whether reading has begun. After that the layer cannot be sent again.
	opened() bool
	// finish reads the rest and verifies the digest.
	finish() error
}

// onceReader can be read once, from start to end. It hashes and counts the bytes.
type onceReader struct {
	mu      sync.Mutex // guards all below: an HTTP client may still be reading when it has its answer
	from    io.Reader
	sum     hash.Hash
	size    int64
	started bool
	ended   bool
}

func newOnceReader(from io.Reader) *onceReader { return &onceReader{from: from, sum: sha256.New()} }

// open starts the one reading. It returns errReadTwice the second time.
func (r *onceReader) open() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started {
		return errReadTwice
	}
	r.started = true
	return nil
}

func (r *onceReader) opened() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.started
}

func (r *onceReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.from.Read(p)
	r.sum.Write(p[:n])
	r.size += int64(n)
	r.ended = r.ended || err == io.EOF
	return n, err
}

// result returns digest and size in bytes, and true once all has been read.
func (r *onceReader) result() (v1.Hash, int64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		return v1.Hash{}, 0, false
	}
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(r.sum.Sum(nil))}, r.size, true
}

// passthroughLayer is a layer with a known digest that is sent as it is.
type passthroughLayer struct {
	*onceReader
	digest      v1.Hash
	size        int64
	compression string
}

func (l *passthroughLayer) Digest() (v1.Hash, error)             { return l.digest, nil }
func (l *passthroughLayer) Size() (int64, error)                 { return l.size, nil }
func (l *passthroughLayer) DiffID() (v1.Hash, error)             { return v1.Hash{}, errNoDiffID }
func (l *passthroughLayer) Uncompressed() (io.ReadCloser, error) { return nil, errNoDiffID }

func (l *passthroughLayer) MediaType() (types.MediaType, error) {
	if l.compression == "zstd" {
		return types.OCILayerZStd, nil
	}
	return types.OCILayer, nil
}

func (l *passthroughLayer) Compressed() (io.ReadCloser, error) {
	if err := l.open(); err != nil {
		return nil, err
	}
	return io.NopCloser(l.onceReader), nil
}

// finish reads the rest and verifies the digest. It also verifies a layer that was not sent because the registry has
// its digest: the name may be wrong.
func (l *passthroughLayer) finish() error {
	if _, err := io.Copy(io.Discard, l.onceReader); err != nil {
		return err
	}
	if got, _, _ := l.result(); got != l.digest {
		return &archive.Error{Reason: "a layer of it is damaged: it is " + got.String() + ", and should be " + l.digest.String()}
	}
	return nil
}

// gzipLayer is a layer that is compressed while it is sent. Digest and size are known afterwards; until then it
// returns stream.ErrNotComputed, which the library's writers handle. Compressing and hashing use a processor each.
type gzipLayer struct {
	*onceReader
	plain io.ReadCloser
}

func newGzipLayer(plain io.ReadCloser) *gzipLayer { return &gzipLayer{newOnceReader(nil), plain} }

func (l *gzipLayer) DiffID() (v1.Hash, error)             { return v1.Hash{}, stream.ErrNotComputed }
func (l *gzipLayer) Uncompressed() (io.ReadCloser, error) { return nil, errNoDiffID }
func (l *gzipLayer) MediaType() (types.MediaType, error)  { return types.OCILayer, nil }

func (l *gzipLayer) Digest() (v1.Hash, error) {
	digest, _, done := l.result()
	if !done {
		return v1.Hash{}, stream.ErrNotComputed
	}
	return digest, nil
}

func (l *gzipLayer) Size() (int64, error) {
	_, size, done := l.result()
	if !done {
		return 0, stream.ErrNotComputed
	}
	return size, nil
}

// Compressed returns the layer in gzip, at its fastest level.
func (l *gzipLayer) Compressed() (io.ReadCloser, error) {
	if err := l.open(); err != nil {
		return nil, err
	}
	out, into := io.Pipe()
	go func() {
		packer, err := gzip.NewWriterLevel(into, gzip.BestSpeed)
		if err == nil {
			_, err = io.Copy(packer, l.plain)
			err = errors.Join(err, l.plain.Close(), packer.Close())
		}
		into.CloseWithError(err)
	}()
	l.from = out
	return &gzipReader{l.onceReader, out}, nil
}

// finish has nothing to verify: the digest is that of what was read.
func (l *gzipLayer) finish() error {
	_, err := l.Digest()
	return err
}

// gzipReader stops the compression when it is closed.
type gzipReader struct {
	io.Reader
	io.Closer
}
