package image

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// storeInLayout adds an image to an OCI layout, and creates the layout if there is none. It replaces an image with
// the same tag.
func storeInLayout(ctx context.Context, source *Source, to Reference, watch io.Writer) (Stored, error) {
	stored := Stored{Reference: to}
	path, err := openLayout(to.Path)
	if err != nil {
		return stored, writeError(to, err)
	}
	writer := layoutWriter{path, to.Name}
	var digest v1.Hash
	if source.layered != nil {
		digest, err = writer.writeLayered(ctx, source, watch)
	} else {
		digest, err = source.pushLayers(ctx, writer, watch)
	}
	if err != nil {
		return stored, writeError(to, err)
	}
	stored.Digest = digest.String()
	return stored, nil
}

// openLayout opens a layout, and creates it if there is none.
func openLayout(dir string) (layout.Path, error) {
	index := filepath.Join(dir, ocispec.ImageIndexFile)
	if _, err := os.Stat(index); !errors.Is(err, os.ErrNotExist) {
		return layout.Path(dir), err
	}
	none, err := empty.Index.RawManifest()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	version := []byte(`{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`)
	return layout.Path(dir), cmp.Or(writeFile(filepath.Join(dir, ocispec.ImageLayoutFile), version), writeFile(index, none))
}

// writeFile replaces a file, or a link in its place, atomically.
func writeFile(path string, content []byte) error {
	into, err := createFile(path)
	if err != nil {
		return err
	}
	_, err = into.Write(content)
	return into.commit(err)
}

// storeInOCIArchive writes a layout to a temporary directory and packs it. It cannot write the tar at once, because a
// blob's name is its digest, which comes before its content.
func storeInOCIArchive(ctx context.Context, source *Source, to Reference, watch io.Writer) (Stored, error) {
	stored := Stored{Reference: to}
	into, err := createFile(to.Path)
	if err != nil {
		return stored, writeError(to, err)
	}
	tempDir := "" // for a stream, the default directory for temporary files
	if into.pending != nil {
		tempDir = filepath.Dir(to.Path)
	}
	dir, err := os.MkdirTemp(tempDir, "."+filepath.Base(to.Path)+".")
	if err != nil {
		return stored, writeError(to, into.commit(err))
	}
	defer os.RemoveAll(dir)
	stored, err = storeInLayout(ctx, source, Reference{Transport: OCILayout, Path: dir, Name: to.Name}, watch)
	stored.Reference = to
	if err == nil {
		err = packDirectory(into, dir)
	}
	return stored, into.commit(err)
}

// packDirectory writes a directory as a tar.
func packDirectory(into io.Writer, dir string) error {
	w := tar.NewWriter(into)
	return cmp.Or(w.AddFS(os.DirFS(dir)), w.Close())
}

// layoutWriter writes an image to an OCI layout.
type layoutWriter struct {
	path layout.Path
	tag  string
}

func (w layoutWriter) writeLayered(ctx context.Context, source *Source, watch io.Writer) (v1.Hash, error) {
	layers, err := source.layered.Layers()
	if err != nil {
		return v1.Hash{}, err
	}
	for _, layer := range layers {
		if err := w.writeWatched(ctx, layer, watch); err != nil {
			return v1.Hash{}, err
		}
	}
	config, err := source.layered.RawConfigFile()
	if err != nil {
		return v1.Hash{}, err
	}
	content, described, err := source.layeredManifest()
	if err != nil {
		return v1.Hash{}, err
	}
	return described.Digest, errors.Join(w.writeConfig(ctx, config), w.writeManifest(ctx, content, described))
}

func (w layoutWriter) writeWatched(ctx context.Context, layer v1.Layer, watch io.Writer) error {
	content, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer content.Close()
	digest, err := layer.Digest()
	if err != nil {
		return err
	}
	return w.writeBlob(ctx, io.TeeReader(content, watch), func() (v1.Hash, error) { return digest, nil })
}

func (w layoutWriter) writeLayer(ctx context.Context, layer v1.Layer) error {
	content, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer content.Close()
	return w.writeBlob(ctx, content, layer.Digest)
}

func (w layoutWriter) writeConfig(ctx context.Context, content []byte) error {
	return w.writeBlob(ctx, bytes.NewReader(content), func() (v1.Hash, error) {
		digest, _, err := v1.SHA256(bytes.NewReader(content))
		return digest, err
	})
}

func (w layoutWriter) writeManifest(ctx context.Context, content []byte, described v1.Descriptor) error {
	if err := w.writeConfig(ctx, content); err != nil {
		return err
	}
	same := match.Digests(described.Digest)
	if w.tag != "" {
		described.Annotations = map[string]string{ocispec.AnnotationRefName: w.tag}
		same = match.Name(w.tag)
	}
	index, err := layoutDir{ctx, string(w.path)}.readIndex()
	if err != nil {
		return err
	}
	listed, err := index.IndexManifest()
	if err != nil {
		return err
	}
	listed.Manifests = append(slices.DeleteFunc(listed.Manifests, same), described)
	text, err := json.MarshalIndent(listed, "", "   ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(string(w.path), ocispec.ImageIndexFile), text)
}

// writeBlob writes a blob and verifies its digest. digest is called after reading, because it may not be known
// before.
func (w layoutWriter) writeBlob(ctx context.Context, content io.Reader, digest func() (v1.Hash, error)) error {
	dir := filepath.Join(string(w.path), "blobs", "sha256")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	into, err := createTemp(dir, ".blob-")
	if err != nil {
		return err
	}
	defer os.Remove(into.Name()) // no effect after the rename
	got, _, err := v1.SHA256(io.TeeReader(contextReader{ctx, content}, into))
	if err := errors.Join(err, into.Close()); err != nil {
		return err
	}
	want, err := digest()
	if err != nil {
		return err
	}
	if got != want {
		return errors.New("a blob is damaged: it is " + got.String() + ", and should be " + want.String())
	}
	return os.Rename(into.Name(), filepath.Join(dir, got.Hex))
}

// createTemp creates a file with a random name that begins with begin. Unlike os.CreateTemp, it leaves the mode to
// the umask, as for any file that a command creates.
func createTemp(dir, begin string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, begin+rand.Text()), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
}

// contextReader is a reader that fails when its context ends.
type contextReader struct {
	ctx  context.Context
	from io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.from.Read(p)
}
