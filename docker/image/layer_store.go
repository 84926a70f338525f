package image

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"

	"ndock/docker/archive"
)

// LayerStore keeps layers one by one, each by the digest of its stored bytes.
type LayerStore interface {
	// Find returns those of the layers that the store has.
	Find(ctx context.Context, layers []digest.Digest) (map[digest.Digest]StoredLayer, error)
	// Send stores a layer with this digest, and reads its content to the end. Then it asks inspected what the layer is, and
	// keeps nothing if that returns an error. The digest is verified while the content is read, and may be empty.
	Send(ctx context.Context, named digest.Digest, content io.Reader, inspected func() (StoredLayer, error)) (StoredLayer, error)
}

// StoredLayer is a layer in a store, and what it takes unpacked.
type StoredLayer struct {
	archive.StoredLayer
	Unpacked int64 // in bytes
}

const (
	// smallLayer is the size up to which a layer stays in its image's archive, in bytes: most layers are small, and an
	// image in Glance of its own costs Glance more than that many bytes.
	smallLayer = 1 << 20
	// smallLayers is the size of all layers of an image that stay in its archive, which are in memory until it is sent.
	smallLayers = 32 << 20
)

// LayeredArchive puts the image's layers into the store, but those that the store has, and returns an archive that leaves them
// out. Of a source that has no layers with digests, it returns a whole archive. The caller closes the archive.
func (s *Source) LayeredArchive(ctx context.Context, store LayerStore) (*Archive, error) {
	from, named, err := s.openLayers(ctx)
	if err != nil {
		return nil, err
	}
	if !named {
		return s.copyArchive(ctx, from)
	}
	composed, metadata, err := s.storeLayers(ctx, from, store)
	if err != nil {
		return nil, errors.Join(explainArchive(s.Reference, err), from.Close())
	}
	opened, err := newArchive(from, func(into io.Writer) (Metadata, error) {
		return metadata, archive.Compose(into, composed)
	})
	if err != nil {
		return nil, err
	}
	opened.known, opened.layers = &metadata, composed.Layers
	return opened, nil
}

// storeLayers reads an archive that names its layers by their digests, and returns the image with its layers in the store.
func (s *Source) storeLayers(ctx context.Context, from io.Reader, store LayerStore) (archive.Composed, Metadata, error) {
	asked := s.layerDigests()
	found, err := store.Find(ctx, asked)
	if err != nil {
		return archive.Composed{}, Metadata{}, err
	}
	known := map[digest.Digest]StoredLayer{}
	for _, layer := range asked {
		known[layer] = found[layer]
	}
	sink := newStoringSink(ctx, store, known)
	contents, err := archive.Read(from, sink, s.storeOptions(ctx, sink))
	if sent := sink.uploads.Wait(); sent != nil && (err == nil || errors.Is(err, errLayerFailed) || ctx.Err() == nil && errors.Is(err, context.Canceled)) {
		err = sent // which has ended the reading, too
	}
	metadata := metadataOf(contents)
	if err == nil {
		err = errors.Join(contents.CheckDuplicates(), s.checkAfterRead(metadata))
	}
	if err != nil {
		return archive.Composed{}, Metadata{}, err
	}
	composed, err := sink.compose(contents)
	metadata.Digest = string(digest.FromBytes(composed.Manifest))
	return composed, metadata, err
}

// storeOptions inspects the layers of any source: what a layer unpacks to is kept with it.
func (s *Source) storeOptions(ctx context.Context, sink *storingSink) archive.Options {
	options := s.copyOptions(ctx)
	if options.Limits == nil {
		options.Limits = &archive.Limits{}
	}
	options.Limits.Duplicates = true
	sink.limits, options.Inspected = *options.Limits, func(layer archive.Layer) { sink.result(layer.Path) <- layer }
	switch {
	case s.layered != nil:
		options.Layers = separateLayers{sink, s.openLayer}
	case s.openLeftOut != nil:
		options.Layers = separateLayers{sink, func(layer archive.LeftOut) (io.ReadCloser, error) { return s.openLeftOut(ctx, layer) }}
	}
	return options
}

// layerDigests returns the digests that the image's layers may have, as far as they are known before reading.
func (s *Source) layerDigests() []digest.Digest {
	if s.layered == nil {
		return s.diffIDs // an engine's own archives have plain layers
	}
	manifest, err := s.layered.Manifest()
	if err != nil {
		return nil // which reading says, too
	}
	var all []digest.Digest
	for _, layer := range manifest.Layers {
		if layer.Size > smallLayer {
			all = append(all, digest.Digest(layer.Digest.String()))
		}
	}
	return all
}

// separateLayers is the archive.LayerSource of an image whose layers are read one by one.
type separateLayers struct {
	sink *storingSink
	open func(archive.LeftOut) (io.ReadCloser, error)
}

// Has implements archive.LayerSource. The store has a layer with what it was found to be.
func (l separateLayers) Has(layer archive.LeftOut) (archive.LayerSize, bool) {
	stored, has, err := l.sink.find(layer.Digest)
	if err != nil { // which storing it will say, too
		return archive.LayerSize{}, false
	}
	return archive.LayerSize{Unpacked: stored.Unpacked, Stored: stored.Unpacked}, has && stored.DiffID == layer.DiffID && stored.Size == layer.Size
}

// Open implements archive.LayerSource.
func (l separateLayers) Open(layer archive.LeftOut) (io.ReadCloser, error) { return l.open(layer) }

// openLayer opens a layer of an image whose layers are read one by one.
func (s *Source) openLayer(layer archive.LeftOut) (io.ReadCloser, error) {
	hash, err := v1.NewHash(string(layer.Digest))
	if err != nil {
		return nil, err
	}
	found, err := s.layered.LayerByDigest(hash)
	if err != nil {
		return nil, err
	}
	return found.Compressed()
}

// describeLayers returns an archive of the image that leaves out all layers.
func describeLayers(image v1.Image) ([]byte, error) {
	manifest, err := image.RawManifest()
	if err != nil {
		return nil, err
	}
	text, err := image.RawConfigFile()
	if err != nil {
		return nil, err
	}
	config, err := archive.ParseConfig(text)
	if err != nil {
		return nil, err
	}
	described, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	composed := archive.Composed{Manifest: manifest, Config: text}
	for n, layer := range described.Layers {
		stored := archive.StoredLayer{Digest: digest.Digest(layer.Digest.String()), Size: layer.Size, MediaType: string(layer.MediaType)}
		if n < len(config.RootFS.DiffIDs) {
			stored.DiffID = config.RootFS.DiffIDs[n]
		}
		composed.Layers = append(composed.Layers, stored)
	}
	var out bytes.Buffer
	err = archive.Compose(&out, composed)
	return out.Bytes(), err
}

// openLayers opens the image's bytes, and tells whether they are an archive that names layers by their digests.
func (s *Source) openLayers(ctx context.Context) (io.ReadCloser, bool, error) {
	if s.layered != nil {
		composed, err := describeLayers(s.layered)
		if err != nil {
			return nil, false, err
		}
		return io.NopCloser(bytes.NewReader(composed)), true, nil
	}
	from, err := s.openStream(ctx)
	if err != nil {
		return nil, false, err
	}
	in := bufio.NewReader(from)
	head, err := in.Peek(ustar + 5)
	if err != nil && err != io.EOF {
		return nil, false, errors.Join(err, from.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{in, from}, namesLayers(head), nil
}

// ustar is where a header of a tar has this word.
const ustar = 257

// namesLayers tells whether an archive with this first header names its layers by their digests. Engines before 25 do not.
func namesLayers(head []byte) bool {
	if len(head) < ustar+5 || string(head[ustar:]) != "ustar" {
		return false
	}
	first, _, _ := strings.Cut(string(head[:100]), "\x00")
	return strings.HasPrefix(first, "blobs/") || slices.Contains([]string{"layers.json", "oci-layout", "index.json"}, first)
}
