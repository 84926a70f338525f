package image

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/docker/archive"
)

// layoutDir is the directory of an OCI layout. Anybody may have made it.
type layoutDir struct {
	ctx  context.Context // ends long reads: opening a v1.Layer takes no context
	path string
}

// readIndex reads the layout's index.json.
func (d layoutDir) readIndex() (layoutIndex, error) {
	file, err := openRegular(filepath.Join(d.path, ocispec.ImageIndexFile))
	if err != nil {
		return layoutIndex{}, err
	}
	defer file.Close()
	text, err := readDescription(file)
	return layoutIndex{d, text}, err
}

// readDescription reads an index, a manifest or a configuration. It fails if the content does not match the digest.
func (d layoutDir) readDescription(digest v1.Hash) ([]byte, error) {
	file, err := d.openBlob(digest, archive.DescriptionLimit)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := readDescription(file)
	if err != nil {
		return nil, err
	}
	return text, verifyDigest(bytes.NewReader(text), digest)
}

func readDescription(file *os.File) ([]byte, error) {
	content, err := limitToFileSize(file, archive.DescriptionLimit)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(content)
}

// limitToFileSize returns a file's content up to the size that the file states. Files in /proc state none and may
// never end.
func limitToFileSize(file *os.File, most int64) (io.Reader, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, fmt.Errorf("%q has %d bytes, and should have at most %d", file.Name(), info.Size(), most)
	}
	return io.LimitReader(file, info.Size()), nil
}

// openBlob opens a blob. Bazel's rules make blobs as links, and a link may lead to any file of this host: what it
// leads to is verified here, before anything is sent. The caller has to verify other blobs.
func (d layoutDir) openBlob(digest v1.Hash, most int64) (*os.File, error) {
	path := filepath.Join(d.path, "blobs", digest.Algorithm, digest.Hex)
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	file, err := openRegular(path)
	if err != nil || info.Mode().IsRegular() {
		return file, err
	}
	content, err := limitToFileSize(file, most)
	if err == nil {
		err = verifyDigest(contextReader{d.ctx, content}, digest)
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// openRegular opens a regular file, and nothing else. Opening a pipe may block, and opening a device may have
// effects.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is no file", path)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if opened, err := file.Stat(); err != nil || !os.SameFile(info, opened) {
		return nil, errors.Join(fmt.Errorf("%q was replaced while it was opened: try again", path), err, file.Close())
	}
	return file, nil
}

// verifyDigest reads a blob to its end and fails if its digest differs.
func verifyDigest(content io.Reader, want v1.Hash) error {
	hasher, err := v1.Hasher(want.Algorithm)
	if err != nil {
		return err
	}
	if _, err := io.Copy(hasher, content); err != nil {
		return err
	}
	if hex.EncodeToString(hasher.Sum(nil)) != want.Hex {
		return fmt.Errorf("its blob %s is damaged, or a link to something else: its content has another digest", want)
	}
	return nil
}

// layoutIndex implements v1.ImageIndex.
type layoutIndex struct {
	dir  layoutDir
	text []byte
}

func (i layoutIndex) MediaType() (types.MediaType, error) { return types.OCIImageIndex, nil }
func (i layoutIndex) Digest() (v1.Hash, error)            { return partial.Digest(i) }
func (i layoutIndex) Size() (int64, error)                { return partial.Size(i) }
func (i layoutIndex) RawManifest() ([]byte, error)        { return i.text, nil }

func (i layoutIndex) IndexManifest() (*v1.IndexManifest, error) {
	return v1.ParseIndexManifest(bytes.NewReader(i.text))
}

func (i layoutIndex) ImageIndex(digest v1.Hash) (v1.ImageIndex, error) {
	text, err := i.dir.readDescription(digest)
	return layoutIndex{i.dir, text}, err
}

func (i layoutIndex) Image(digest v1.Hash) (v1.Image, error) {
	text, err := i.dir.readDescription(digest)
	if err != nil {
		return nil, err
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(layoutImage{i.dir, text, manifest})
}

// layoutImage implements partial.CompressedImageCore.
type layoutImage struct {
	dir      layoutDir
	text     []byte
	manifest *v1.Manifest
}

func (i layoutImage) RawManifest() ([]byte, error) { return i.text, nil }

func (i layoutImage) MediaType() (types.MediaType, error) {
	return cmp.Or(i.manifest.MediaType, types.OCIManifestSchema1), nil
}

func (i layoutImage) RawConfigFile() ([]byte, error) {
	return i.dir.readDescription(i.manifest.Config.Digest)
}

func (i layoutImage) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	for _, layer := range append([]v1.Descriptor{i.manifest.Config}, i.manifest.Layers...) {
		if layer.Digest == digest {
			return layoutLayer{i.dir, layer}, nil
		}
	}
	return nil, fmt.Errorf("it has no layer %s", digest)
}

// layoutLayer implements partial.CompressedLayer.
type layoutLayer struct {
	dir       layoutDir
	described v1.Descriptor
}

func (l layoutLayer) Digest() (v1.Hash, error)            { return l.described.Digest, nil }
func (l layoutLayer) Size() (int64, error)                { return l.described.Size, nil }
func (l layoutLayer) MediaType() (types.MediaType, error) { return l.described.MediaType, nil }
func (l layoutLayer) Compressed() (io.ReadCloser, error) {
	return l.dir.openBlob(l.described.Digest, l.described.Size)
}
