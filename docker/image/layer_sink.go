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

// File implements archive.Sink. The archive's reader keeps manifests and configurations.
func (s *layerSink) File(_ *tar.Header, content io.Reader) error {
	_, err := io.Copy(io.Discard, content)
	return err
}

// maxParallelLayers is how many layers are uploaded at once. While a registry confirms one, the next is sent.
const maxParallelLayers = 3

// errLayerFailed stops the reading of an archive. The cause is the error of uploads.
var errLayerFailed = errors.New("a layer was not stored")

// Layer implements archive.Sink. It returns when the layer has been read; uploads.Wait returns whether it was stored.
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
	_, err = io.Copy(io.Discard, content) // there may be bytes after the compressed data
	return err
}

// newStreamLayer passes a layer through if it is compressed and named by its digest. It compresses others.
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
