package image

import (
	"archive/tar"
	"bufio"
	"io"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"ndock/docker/archive"
)

// File implements archive.Sink: descriptions are kept by the archive's reader.
func (u *unpacker) File(_ *tar.Header, content io.Reader) error {
	_, err := io.Copy(io.Discard, content)
	return err
}

// Layer implements archive.Sink.
func (u *unpacker) Layer(header *tar.Header, content io.Reader) error {
	name := path.Clean(header.Name)
	layer, err := layerOf(content, digestOf(name), header.Size)
	if err != nil {
		return err
	}
	if err := u.shelf.layer(u.ctx, layer); err != nil {
		return err
	}
	if u.layers[name], err = describe(layer); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, content) // where the shelf had it already
	return err
}

// layerOf leaves a layer as it is that is packed and has its digest for a name, and packs others.
func layerOf(content io.Reader, digest v1.Hash, size int64) (v1.Layer, error) {
	head := bufio.NewReaderSize(content, 64<<10)
	compression, err := archive.Compression(head)
	if err != nil {
		return nil, err
	}
	if digest.Hex != "" && compression != "" {
		return &asIs{content: head, digest: digest, size: size, compression: compression}, nil
	}
	plain, err := archive.Decompressed(head)
	if err != nil {
		return nil, err
	}
	return newPacked(plain), nil
}

func describe(layer v1.Layer) (v1.Descriptor, error) {
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
