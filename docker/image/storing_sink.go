package image

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"ndock/docker/archive"
)

// storingSink is an archive.Sink that puts what may be a layer into a store, but for what is small.
type storingSink struct {
	ctx     context.Context
	store   LayerStore
	known   map[digest.Digest]StoredLayer // which the store had; empty for those that it had not
	limits  archive.Limits
	uploads *errgroup.Group
	room    int64 // for small layers, in bytes

	mu        sync.Mutex                     // guards all below
	inspected map[string]chan archive.Layer  // what a layer turned out to be, by its path in the archive
	layers    map[string]archive.StoredLayer // the same
	small     map[digest.Digest][]byte
}

// newStoringSink returns a sink for a store that has been asked for some layers.
func newStoringSink(ctx context.Context, store LayerStore, known map[digest.Digest]StoredLayer) *storingSink {
	s := &storingSink{
		store: store, known: known, room: smallLayers,
		inspected: map[string]chan archive.Layer{}, layers: map[string]archive.StoredLayer{}, small: map[digest.Digest][]byte{},
	}
	s.uploads, s.ctx = errgroup.WithContext(ctx)
	s.uploads.SetLimit(maxParallelLayers)
	return s
}

// File implements archive.Sink. The archive's reader keeps manifests and configurations.
func (s *storingSink) File(_ *tar.Header, content io.Reader) error {
	_, err := io.Copy(io.Discard, content)
	return err
}

// Layer implements archive.Sink. It returns when the layer has been read; uploads.Wait returns whether it was stored.
func (s *storingSink) Layer(header *tar.Header, content io.Reader) error {
	head := bufio.NewReaderSize(content, 64<<10)
	compression, err := archive.Compression(head)
	if err != nil {
		return err
	}
	layer := incoming{sink: s, path: path.Clean(header.Name), size: header.Size, content: head, mediaType: types.OCIUncompressedLayer}
	switch compression {
	case "":
		return layer.store(layer.named())
	case "gzip":
		layer.mediaType = types.OCILayer
		return layer.store(layer.named())
	}
	return layer.decompress()
}

// result returns where a layer's inspection is told.
func (s *storingSink) result(path string) chan archive.Layer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inspected[path] == nil {
		s.inspected[path] = make(chan archive.Layer, 1)
	}
	return s.inspected[path]
}

// find looks for a layer in the store, once.
func (s *storingSink) find(layer digest.Digest) (StoredLayer, bool, error) {
	if _, asked := s.known[layer]; !asked && layer != "" {
		found, err := s.store.Find(s.ctx, []digest.Digest{layer})
		if err != nil {
			return StoredLayer{}, false, err
		}
		s.known[layer] = found[layer]
	}
	known := s.known[layer]
	return known, known.Image != "", nil
}

func (s *storingSink) record(path string, layer archive.StoredLayer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.layers[path] = layer
}

// compose returns the image that was read, with what the store has left out.
func (s *storingSink) compose(found archive.Contents) (archive.Composed, error) {
	composed := archive.Composed{Config: found.Config, Open: s.openSmall}
	var described []v1.Descriptor
	for _, layer := range found.Layers {
		stored, read := s.layers[layer.Path]
		if !read { // it was not needed
			stored = s.known[digest.Digest(layer.Digest())].StoredLayer
		}
		stored.DiffID = digest.Digest(layer.DiffID)
		hash, err := v1.NewHash(string(stored.Digest))
		if err != nil {
			return composed, err
		}
		composed.Layers = append(composed.Layers, stored)
		described = append(described, v1.Descriptor{MediaType: types.MediaType(stored.MediaType), Digest: hash, Size: stored.Size})
	}
	var err error
	composed.Manifest, _, err = manifestOf(found, described)
	return composed, err
}

func (s *storingSink) openSmall(layer archive.StoredLayer) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(s.small[layer.Digest])), nil
}

// incoming is a layer on its way from an archive to the store.
type incoming struct {
	sink      *storingSink
	path      string // in the archive
	size      int64
	content   io.Reader
	mediaType types.MediaType
}

// named returns the digest that the archive calls the layer, or "".
func (l incoming) named() digest.Digest { return digest.Digest(archive.Layer{Path: l.path}.Digest()) }

// decompress stores a layer without its compression, which not every engine can read. So it has another digest.
func (l incoming) decompress() error {
	plain, size, err := l.sink.limits.Spool(l.content)
	if err != nil {
		return err
	}
	defer plain.Close()
	sum, err := digest.SHA256.FromReader(plain)
	if err != nil {
		return err
	}
	if _, err := plain.Seek(0, io.SeekStart); err != nil {
		return err
	}
	l.content, l.size = plain, size
	return l.store(sum)
}

// store keeps a layer in memory, passes over one that the store has, or sends it.
func (l incoming) store(named digest.Digest) error {
	s := l.sink
	if l.size <= min(smallLayer, s.room) {
		s.room -= l.size
		return l.keep(named)
	}
	known, has, err := s.find(named)
	if err != nil {
		return err
	}
	if !has || known.Size != l.size { // its bytes in Glance are others
		return l.send(named)
	}
	sum, err := l.copy(io.Discard, named)
	s.record(l.path, archive.StoredLayer{Digest: sum, Size: l.size, MediaType: string(l.mediaType), Image: known.Image})
	return err
}

func (l incoming) keep(named digest.Digest) error {
	var content bytes.Buffer
	sum, err := l.copy(&content, named)
	if err != nil {
		return err
	}
	l.sink.mu.Lock()
	defer l.sink.mu.Unlock()
	l.sink.small[sum] = content.Bytes()
	l.sink.layers[l.path] = archive.StoredLayer{Digest: sum, Size: l.size, MediaType: string(l.mediaType)}
	return nil
}

func (l incoming) send(named digest.Digest) error {
	out, into := io.Pipe()
	var sum digest.Digest
	l.sink.uploads.Go(func() error {
		err := l.upload(named, out, &sum)
		if err != nil {
			out.CloseWithError(errLayerFailed)
		}
		return err
	})
	var err error
	sum, err = l.copy(into, named)
	into.CloseWithError(err)
	return err
}

// upload sends a layer. The digest is known when all has been read. What turns out to be no layer is not kept, and is no fault:
// the archive's reader knows whether it should be one.
func (l incoming) upload(named digest.Digest, content io.Reader, sum *digest.Digest) error {
	s := l.sink
	stored, err := s.store.Send(s.ctx, named, content, func() (StoredLayer, error) {
		found := <-s.result(l.path)
		if found.Refused() != nil {
			return StoredLayer{}, errNoLayer
		}
		return StoredLayer{Unpacked: found.Unpacked, StoredLayer: archive.StoredLayer{
			Digest: *sum, DiffID: digest.Digest(found.DiffID), Size: l.size, MediaType: string(l.mediaType),
		}}, nil
	})
	if errors.Is(err, errNoLayer) {
		return nil
	}
	if err == nil {
		s.record(l.path, stored.StoredLayer)
	}
	return err
}

// errNoLayer is about an entry of an archive that is no layer of an image.
var errNoLayer = errors.New("it is no layer")

// copy writes the layer's bytes, and returns their digest. It returns an *archive.Error where they have another than they are
// called by.
func (l incoming) copy(into io.Writer, named digest.Digest) (digest.Digest, error) {
	sum := digest.SHA256.Digester()
	if _, err := io.Copy(io.MultiWriter(into, sum.Hash()), l.content); err != nil {
		return "", err
	}
	if got := sum.Digest(); named == "" || got == named {
		return got, nil
	}
	return "", &archive.Error{Reason: "a layer of it is damaged: it is " + string(sum.Digest()) + ", and should be " + string(named)}
}
