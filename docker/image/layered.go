package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"ndock/docker/archive"
)

// layeredSource returns a source for an image whose layers can be read one by one. If the configuration lacks a
// platform, it takes that of the index, or else the requested one.
func (t Transports) layeredSource(r Reference, image v1.Image, indexed archive.Platform) (*Source, error) {
	if err := checkManifest(image); err != nil {
		return nil, err
	}
	metadata, err := layeredMetadata(image, indexed.Or(t.Platform))
	if err != nil {
		return nil, err
	}
	return &Source{Reference: r, Metadata: metadata, options: t.archiveOptions(), layered: image, open: func(ctx context.Context) (io.ReadCloser, error) {
		out, into := io.Pipe()
		go func() { into.CloseWithError(writeLayeredArchive(ctx, into, image, t.Limits)) }()
		return out, nil
	}}, nil
}

// checkManifest refuses a manifest that is not an image's.
func checkManifest(image interface{ RawManifest() ([]byte, error) }) error {
	text, err := image.RawManifest()
	if err != nil {
		return err
	}
	found, err := archive.ParseManifest(text)
	if err != nil {
		return err
	}
	if err := archive.CheckImageManifest(found); err != nil {
		return err
	}
	if found.Config.Digest == "" {
		return errors.New("it is no image: its manifest names no configuration")
	}
	return nil
}

func layeredMetadata(image v1.Image, otherwise archive.Platform) (Metadata, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return Metadata{}, err
	}
	if size := manifest.Config.Size; size < 0 || size > archive.DescriptionLimit { // it is read into memory
		return Metadata{}, fmt.Errorf("its configuration has %d bytes, and at most %d are allowed", size, archive.DescriptionLimit)
	}
	id, err := image.ConfigName()
	if err != nil {
		return Metadata{}, err
	}
	text, err := image.RawConfigFile()
	if err != nil {
		return Metadata{}, err
	}
	config, err := archive.ParseConfig(text)
	if err != nil {
		return Metadata{}, err
	}
	stated := archive.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}
	metadata := Metadata{ID: id.String(), Layers: len(manifest.Layers), Platform: stated.Or(otherwise), PlatformAssumed: !stated.IsComplete()}
	for _, layer := range manifest.Layers {
		metadata.Size += layer.Size
	}
	return metadata, nil
}

// layeredManifest returns the image's own manifest with its descriptor. Only for a source with layered set.
func (s *Source) layeredManifest() ([]byte, v1.Descriptor, error) {
	content, err := s.layered.RawManifest()
	if err != nil {
		return nil, v1.Descriptor{}, err
	}
	kind, err := s.layered.MediaType()
	if err != nil {
		return nil, v1.Descriptor{}, err
	}
	digest, size, err := v1.SHA256(bytes.NewReader(content))
	return content, v1.Descriptor{
		MediaType: kind, Digest: digest, Size: size,
		Platform: &v1.Platform{OS: s.Platform.OS, Architecture: s.Platform.Architecture, Variant: s.Platform.Variant},
	}, err
}

// writeLayeredArchive writes an image as a Docker archive, with its layers compressed as they are; Docker
// decompresses them. A tar states a layer's size before its content, and the uncompressed size is not known.
func writeLayeredArchive(ctx context.Context, dst io.Writer, image v1.Image, limits archive.Limits) error {
	w := layeredWriter{ctx: ctx, out: tar.NewWriter(dst), limits: limits, written: map[v1.Hash]string{}}
	id, err := image.ConfigName()
	if err != nil {
		return err
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	described := struct {
		Config           string
		RepoTags, Layers []string
	}{Config: id.Hex + ".json"}
	if err := w.writeFile(described.Config, int64(len(config)), bytes.NewReader(config)); err != nil {
		return err
	}
	for _, layer := range layers {
		file, err := w.writeLayer(layer)
		if err != nil {
			return err
		}
		described.Layers = append(described.Layers, file)
	}
	manifest, err := json.Marshal([]any{described})
	if err != nil {
		return err
	}
	if err := w.writeFile("manifest.json", int64(len(manifest)), bytes.NewReader(manifest)); err != nil {
		return err
	}
	return w.out.Close()
}

// layeredWriter writes a layered image as a Docker archive.
type layeredWriter struct {
	ctx     context.Context
	out     *tar.Writer
	limits  archive.Limits
	written map[v1.Hash]string // a layer that occurs twice is written once
}

// writeLayer writes a layer and returns its name in the archive.
func (w layeredWriter) writeLayer(layer v1.Layer) (string, error) {
	digest, err := layer.Digest()
	if err != nil {
		return "", err
	}
	if file, ok := w.written[digest]; ok {
		return file, nil
	}
	kind, err := layer.MediaType()
	if err != nil {
		return "", err
	}
	content, err := layer.Compressed()
	if err != nil {
		return "", err
	}
	defer content.Close()
	file := digest.Hex + ".tar.gz"
	w.written[digest] = file
	if strings.HasSuffix(string(kind), "zstd") {
		return file, w.writeDecompressed(file, content)
	}
	size, err := layer.Size()
	if err != nil {
		return "", err
	}
	return file, w.writeFile(file, size, content)
}

// writeDecompressed writes a layer in zstd uncompressed, because engines before 23 cannot read zstd. It needs a
// temporary file to find the size.
func (w layeredWriter) writeDecompressed(file string, compressed io.Reader) error {
	plain, size, err := w.limits.Spool(compressed)
	if err != nil {
		return err
	}
	defer plain.Close()
	return w.writeFile(file, size, plain)
}

func (w layeredWriter) writeFile(name string, size int64, content io.Reader) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if err := w.out.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size}); err != nil {
		return err
	}
	n, err := io.Copy(w.out, content)
	if errors.Is(err, tar.ErrWriteTooLong) || err == nil && n != size {
		return fmt.Errorf("layer %s does not have the %d bytes that its manifest states", name, size)
	}
	return err
}
