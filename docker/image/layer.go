package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
)

var errOnce = errors.New("a layer that flows by can be read once, and as it is sent")

// asIs is a layer that flows by, of known digest.
type asIs struct {
	content     io.Reader
	digest      v1.Hash
	size        int64
	compression string
}

func (l *asIs) Digest() (v1.Hash, error)             { return l.digest, nil }
func (l *asIs) Size() (int64, error)                 { return l.size, nil }
func (l *asIs) Compressed() (io.ReadCloser, error)   { return io.NopCloser(l.content), nil }
func (l *asIs) DiffID() (v1.Hash, error)             { return v1.Hash{}, errOnce }
func (l *asIs) Uncompressed() (io.ReadCloser, error) { return nil, errOnce }

func (l *asIs) MediaType() (types.MediaType, error) {
	if l.compression == "zstd" {
		return types.OCILayerZStd, nil
	}
	return types.OCILayer, nil
}

// packed is a layer that is compressed while it flows by. Its digest and size are known when it has: until then it
// answers as stream.Layer does, which the library's writers know. Packing and hashing each have a processor.
type packed struct {
	plain io.ReadCloser

	mu     sync.Mutex
	digest v1.Hash
	size   int64
}

func newPacked(plain io.ReadCloser) *packed { return &packed{plain: plain} }

func (l *packed) DiffID() (v1.Hash, error)             { return v1.Hash{}, stream.ErrNotComputed }
func (l *packed) Uncompressed() (io.ReadCloser, error) { return nil, errOnce }
func (l *packed) MediaType() (types.MediaType, error)  { return types.OCILayer, nil }

func (l *packed) Digest() (v1.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size == 0 {
		return v1.Hash{}, stream.ErrNotComputed
	}
	return l.digest, nil
}

func (l *packed) Size() (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size == 0 {
		return 0, stream.ErrNotComputed
	}
	return l.size, nil
}

// Compressed packs as fast as gzip does.
func (l *packed) Compressed() (io.ReadCloser, error) {
	out, into := io.Pipe()
	go func() {
		packer, err := gzip.NewWriterLevel(into, gzip.BestSpeed)
		if err == nil {
			_, err = io.Copy(packer, l.plain)
			err = errors.Join(err, l.plain.Close(), packer.Close())
		}
		into.CloseWithError(err)
	}()
	return &packing{PipeReader: out, layer: l}, nil
}

// packing counts and hashes what is sent.
type packing struct {
	*io.PipeReader
	layer *packed
	sum   interface {
		io.Writer
		Sum([]byte) []byte
	}
	size int64
}

func (p *packing) Read(b []byte) (int, error) {
	if p.sum == nil {
		p.sum = sha256.New()
	}
	n, err := p.PipeReader.Read(b)
	p.sum.Write(b[:n])
	p.size += int64(n)
	if errors.Is(err, io.EOF) {
		p.layer.is(v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(p.sum.Sum(nil))}, p.size)
	}
	return n, err
}

func (l *packed) is(digest v1.Hash, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.digest, l.size = digest, size
}
