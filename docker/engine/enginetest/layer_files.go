package enginetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"github.com/vbatts/tar-split/tar/asm"
	"github.com/vbatts/tar-split/tar/storage"
)

// LayerFiles are the files in which an engine with overlay2 keeps its layers.
type LayerFiles struct {
	t    *testing.T
	Root string // Docker's directory
}

// NewLayerFiles returns those of an engine without layers.
func NewLayerFiles(t *testing.T) LayerFiles { return LayerFiles{t, t.TempDir()} }

// Put keeps layers, each on the one before, and returns their diff ids.
func (l LayerFiles) Put(layers ...[]byte) []digest.Digest {
	l.t.Helper()
	var diffIDs []digest.Digest
	for _, layer := range layers {
		diffIDs = append(diffIDs, digest.FromBytes(layer))
		dir := l.Records(diffIDs)
		l.write(filepath.Join(dir, "diff"), []byte(digest.FromBytes(layer)))
		l.write(filepath.Join(dir, "cache-id"), []byte(identity.ChainID(diffIDs).Encoded()))
		l.write(filepath.Join(dir, "tar-split.json.gz"), l.split(layer))
		l.unpack(l.Diff(diffIDs), layer)
	}
	return diffIDs
}

// Records is the directory of what the engine has recorded of the highest of these layers.
func (l LayerFiles) Records(diffIDs []digest.Digest) string {
	return filepath.Join(l.Root, "image/overlay2/layerdb/sha256", identity.ChainID(diffIDs).Encoded())
}

// PutRecords replaces the engine's records of the tar of the highest of these layers.
func (l LayerFiles) PutRecords(diffIDs []digest.Digest, lines string) {
	l.t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := io.WriteString(w, lines)
	if err = errors.Join(err, w.Close()); err != nil {
		l.t.Fatal(err)
	}
	l.write(filepath.Join(l.Records(diffIDs), "tar-split.json.gz"), packed.Bytes())
}

// Diff is the directory of the files of the highest of these layers.
func (l LayerFiles) Diff(diffIDs []digest.Digest) string {
	return filepath.Join(l.Root, "overlay2", identity.ChainID(diffIDs).Encoded(), "diff")
}

// PutConfig keeps an image's configuration, and returns the image's id.
func (l LayerFiles) PutConfig(text []byte) digest.Digest {
	l.t.Helper()
	id := digest.FromBytes(text)
	l.write(filepath.Join(l.Root, "image/overlay2/imagedb/content/sha256", id.Encoded()), text)
	return id
}

func (l LayerFiles) write(path string, content []byte) {
	l.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// split is what tar-split records of a tar.
func (l LayerFiles) split(layer []byte) []byte {
	l.t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	plain, done, err := asm.NewInputTarStreamWithDone(bytes.NewReader(layer), storage.NewJSONPacker(w), nil)
	if err == nil {
		_, err = io.Copy(io.Discard, plain)
	}
	if err == nil {
		err = errors.Join(<-done, w.Close())
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return packed.Bytes()
}

// unpack writes the regular files of a layer, which are all that its tar is made of anew.
func (l LayerFiles) unpack(to string, layer []byte) {
	l.t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		l.t.Fatal(err)
	}
	for all := tar.NewReader(bytes.NewReader(layer)); ; {
		header, err := all.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			l.t.Fatal(err)
		}
		content, err := io.ReadAll(all)
		if err != nil {
			l.t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			l.write(filepath.Join(to, filepath.Clean("/"+header.Name)), content)
		}
	}
}
