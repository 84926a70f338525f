package image

import (
	"archive/tar"
	"bufio"
	"errors"
	"io"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"ndock/docker/archive"
)

// File implements archive.Sink: descriptions are kept by the archive's reader.
func (s *layerSink) File(_ *tar.Header, content io.Reader) error {
	_, err := io.Copy(io.Discard, content)
	return err
}

// layersAtOnce are on their way to a shelf: while one is confirmed, the next one is sent.
const maxParallelLayers = 3

// errNotTaken ends the reading of an archive; why a layer was not taken, sending tells.
var errLayerFailed = errors.New("a layer was not taken")

// Layer implements archive.Sink. It returns when the layer has been read; sending tells whether it was taken.
func (s *layerSink) Layer(header *tar.Header, content io.Reader) error {
	out, into := io.Pipe()
	s.uploads.Go(func() error {
		err := s.writeLayer(path.Clean(header.Name), header.Size, out)
		if err != nil {
			out.CloseWithError(errLayerFailed)
		}
		return err
	})
	_, err := io.Copy(into, content)
	into.CloseWithError(err)
	return err
}

func (s *layerSink) writeLayer(name string, size int64, content io.Reader) error {
	layer, err := newStreamLayer(content, digestFromPath(name), size)
	if err != nil {
		return err
	}
	if err := s.writer.writeLayer(s.ctx, layer); err != nil {
		return err
	}
	if err := layer.finish(); err != nil {
		return err
	}
	described, err := descriptorOf(layer)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.layers[name] = described
	s.mu.Unlock()
	_, err = io.Copy(io.Discard, content) // what may stand behind the end of what was compressed
	return err
}

// layerOf leaves a layer as it is that is packed and has its digest for a name, and packs others.
func newStreamLayer(content io.Reader, digest v1.Hash, size int64) (streamLayer, error) {
	head := bufio.NewReaderSize(content, 64<<10)
	compression, err := archive.Compression(head)
	if err != nil {
		return nil, err
	}
	if digest.Hex != "" && (compression == "gzip" || compression == "zstd") {
		return &passthroughLayer{newOnceReader(head), digest, size, compression}, nil
	}
	plain, err := archive.LayerReader(head)
	if err != nil {
		return nil, err
	}
	return newGzipLayer(plain), nil
}

func descriptorOf(layer v1.Layer) (v1.Descriptor, error) {
	digest, err := layer.Digest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	size, err := layer.Size()
	if err != nil {
		return v1.Descriptor{}, err
	}
	kind, err := layer.MediaType()
	return v1.Descriptor{MediaType: kind, Digest: digest, Size: size}, err
}
