package image

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"ndock/docker"
	"ndock/docker/archive"
	"ndock/docker/transfer"
)

// Stored is the result of a copy.
type Stored struct {
	Reference
	Digest  string // of the manifest; empty if there is none
	Existed bool   // it was there already and was not sent
}

// Store copies an image to any place but Glance. It writes the bytes that are read to watch, to count them.
// It returns a *docker.Error, perhaps wrapped, for what it refuses and for what a registry answers.
func (t Transports) Store(ctx context.Context, source *Source, to Reference, watch io.Writer) (Stored, error) {
	stored := Stored{Reference: to}
	err := to.checkDest()
	if err != nil {
		return stored, err
	}
	switch to.Transport {
	case Engine:
		err = t.storeInEngine(ctx, source, to, watch)
	case DockerArchive:
		err = storeInFile(ctx, source, to, watch)
	case Stream:
		err = writeArchive(ctx, source, to, io.MultiWriter(t.Stdout, watch))
	case Registry:
		return t.storeInRegistry(ctx, source, to, watch)
	case OCILayout:
		return storeInLayout(ctx, source, to, watch)
	case OCIArchive:
		return storeInOCIArchive(ctx, source, to, watch)
	default:
		err = fmt.Errorf("%s: images cannot be copied there", to)
	}
	if err != nil {
		return stored, fmt.Errorf("copy image %q to %q: %w", source.Reference, to, transfer.WithoutQueries(err))
	}
	return stored, nil
}

// checkDest refuses a destination early that would fail after all of the image has been read.
func (r Reference) checkDest() error {
	switch r.Transport {
	case DockerArchive, OCIArchive:
		if info, err := os.Stat(r.Path); err == nil && info.IsDir() {
			return writeError(r, fmt.Errorf("%q is a directory", r.Path))
		}
	}
	if before, _, digested := strings.Cut(r.Name, "@"); r.Transport == Registry && digested && strings.Contains(path.Base(before), ":") {
		return writeError(r, errors.New("it has a tag and a digest, and an image gets one name: leave one out"))
	}
	if r.Name == "" || r.Transport != Engine && r.Transport != DockerArchive {
		return nil
	}
	named, err := reference.ParseNormalizedNamed(r.Name)
	if err != nil {
		return writeError(r, fmt.Errorf("%q cannot be a name in Docker: %w", r.Name, err))
	}
	if _, digested := named.(reference.Digested); digested {
		return writeError(r, fmt.Errorf("%q has a digest, which Docker gives an image itself", r.Name))
	}
	return nil
}

// imageWriter stores an image in pieces: layers, configuration, manifest.
type imageWriter interface {
	writeLayer(ctx context.Context, layer v1.Layer) error
	writeConfig(ctx context.Context, content []byte) error
	// writeManifest comes last and gives the image its name.
	writeManifest(ctx context.Context, content []byte, described v1.Descriptor) error
}

// pushLayers reads an archive and writes its layers as they come, then its configuration and manifest. It returns the
// manifest's digest. An invalid archive gives a *docker.Error that wraps an *archive.Error.
func (s *Source) pushLayers(ctx context.Context, writer imageWriter, watch io.Writer) (v1.Hash, error) {
	from, err := s.openStream(ctx)
	if err != nil {
		return v1.Hash{}, err
	}
	defer from.Close()
	sink := newLayerSink(ctx, writer)
	found, err := archive.Read(io.TeeReader(from, watch), sink, s.copyOptions(ctx))
	if sent := sink.uploads.Wait(); err == nil || errors.Is(err, errLayerFailed) {
		err = sent
	}
	if err != nil {
		return v1.Hash{}, explainArchive(s.Reference, err)
	}
	if err := s.checkAfterRead(metadataOf(found)); err != nil {
		return v1.Hash{}, err
	}
	if err := writer.writeConfig(ctx, found.Config); err != nil {
		return v1.Hash{}, err
	}
	content, kind, err := sink.buildManifest(found)
	if err != nil {
		return v1.Hash{}, err
	}
	digest, size, err := v1.SHA256(bytes.NewReader(content))
	if err != nil {
		return v1.Hash{}, err
	}
	return digest, writer.writeManifest(ctx, content, v1.Descriptor{
		MediaType: kind, Digest: digest, Size: size,
		Platform: &v1.Platform{OS: found.Platform.OS, Architecture: found.Platform.Architecture, Variant: found.Platform.Variant},
	})
}

// layerSink is an archive.Sink that writes what may be a layer to an imageWriter.
type layerSink struct {
	ctx     context.Context
	writer  imageWriter
	uploads *errgroup.Group

	mu     sync.Mutex
	layers map[string]v1.Descriptor // by path in the archive
}

func newLayerSink(ctx context.Context, writer imageWriter) *layerSink {
	sink := &layerSink{writer: writer, layers: map[string]v1.Descriptor{}}
	sink.uploads, sink.ctx = errgroup.WithContext(ctx)
	sink.uploads.SetLimit(maxParallelLayers)
	return sink
}

// buildManifest returns the manifest of the image that was written.
func (s *layerSink) buildManifest(found archive.Contents) ([]byte, types.MediaType, error) {
	var layers []v1.Descriptor
	for _, layer := range found.Layers {
		layers = append(layers, s.layers[layer.Path])
	}
	return manifestOf(found, layers)
}

// manifestOf returns the image's own manifest, with its digest, if it has these layers. Otherwise it makes a new one.
func manifestOf(found archive.Contents, layers []v1.Descriptor) ([]byte, types.MediaType, error) {
	id, err := v1.NewHash(found.ID)
	if err != nil {
		return nil, "", err
	}
	m := &v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(found.Config)), Digest: id},
		Layers: append([]v1.Descriptor{}, layers...), // an empty list, not null
	}
	if original, err := v1.ParseManifest(bytes.NewReader(found.Manifest)); err == nil && sameContent(original, m) {
		return found.Manifest, cmp.Or(original.MediaType, m.MediaType), nil
	}
	content, err := json.Marshal(m)
	return content, m.MediaType, err
}

func sameContent(one, other *v1.Manifest) bool {
	return (one.MediaType == "" || one.MediaType.IsImage()) && one.Config.Digest == other.Config.Digest && slices.EqualFunc(one.Layers, other.Layers, func(a, b v1.Descriptor) bool {
		return a.Digest == b.Digest && a.Size == b.Size
	})
}

// digestFromPath returns the digest that the path of an entry states, as in a layout, or an empty one. The writer
// verifies it.
func digestFromPath(path string) v1.Hash {
	var hash v1.Hash
	var hex string
	if _, err := fmt.Sscanf(path, "blobs/sha256/%64s", &hex); err == nil && len(hex) == 64 {
		hash, _ = v1.NewHash("sha256:" + hex) // empty if it is not valid
	}
	return hash
}

// writeError returns an error of writing an image to r.
func writeError(r Reference, err error) error {
	return &docker.Error{Op: "write image " + quoted(r), Err: err}
}

func quoted(r Reference) string { return fmt.Sprintf("%q", r) }
