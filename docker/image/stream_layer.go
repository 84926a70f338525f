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

// errReadTwice refuses to give a layer's rest for a whole one: an HTTP client asks for a body again when its connection
// broke, when it is redirected, and for another attempt.
var errReadTwice = errors.New("a layer was asked for again when part of it had been sent")

// errNoDiffID answers what nobody asks of a layer that is sent as it comes.
var errNoDiffID = errors.New("a layer that is sent while it is read has no diff id yet")

// streamLayer is a layer that is sent while it is read.
type streamLayer interface {
	v1.Layer
	// opened tells whether reading has begun. From then on, the layer cannot be sent anew.
	opened() bool
	// finish reads what is left, and compares the digest with that of all that was read.
	finish() error
}

// onceReader can be read once, from its start to its end. It hashes and counts what is read.
type onceReader struct {
	mu      sync.Mutex // guards all below: an HTTP client may go on to read when it has its answer
	from    io.Reader
	sum     hash.Hash
	size    int64
	started bool
	ended   bool
}

func newOnceReader(from io.Reader) *onceReader { return &onceReader{from: from, sum: sha256.New()} }

// open begins the one reading.
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

// read returns digest and size of what was read, once all of it was.
func (r *onceReader) result() (v1.Hash, int64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		return v1.Hash{}, 0, false
	}
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(r.sum.Sum(nil))}, r.size, true
}

// asIs is a layer that flows by, of known digest.
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

// finish also verifies a layer that was not sent, because its name says that it is there already: the name may lie.
func (l *passthroughLayer) finish() error {
	if _, err := io.Copy(io.Discard, l.onceReader); err != nil {
		return err
	}
	if seen, _, _ := l.result(); seen != l.digest {
		return &archive.Error{Reason: "a layer of it is damaged: it is " + seen.String() + ", and should be " + l.digest.String()}
	}
	return nil
}

// packed is a layer that is compressed while it flows by. Its digest and size are known when it has: until then it
// answers as stream.Layer does, which the library's writers know. Packing and hashing each have a processor.
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

// Compressed packs as fast as gzip does.
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

// finish has nothing to compare: the digest is that of what was read.
func (l *gzipLayer) finish() error {
	_, err := l.Digest()
	return err
}

// packing ends the packing when it is closed.
type gzipReader struct {
	io.Reader
	io.Closer
}
