package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Copy reads an image from src and writes it to dst as a Docker archive. src may be an OCI layout in a tar. The image
// gets these tags and loses its own; with no tags and o.KeepTags it keeps its own. The files keep their names. Where
// src has the image's OCI manifest, dst is also an OCI layout, so that the digest of the manifest stays the same. Its
// errors are those of Read.
func Copy(dst io.Writer, src io.Reader, tags []string, o Options) (Contents, error) {
	if o.Limits != nil {
		limits := *o.Limits
		limits.Duplicates = true
		o.Limits = &limits
	}
	w := &writer{tags: tags, keepTags: o.KeepTags && len(tags) == 0, layout: true, decompress: true}
	return w.copy(dst, src, o)
}

// Load reads an image from src and writes to dst what Docker Engine needs: the layers, the configuration, and last a
// new manifest.json. Each layer is unpacked and hashed first, even with o.Limits nil, so an engine cannot complete
// the image with a layer that src lacks. After an error, what dst has is not an image to any engine. Its errors are
// those of Read.
func Load(dst io.Writer, src io.Reader, o Options) (Contents, error) {
	limits := Limits{}
	if o.Limits != nil {
		limits = *o.Limits
	}
	limits.engine = true
	o.Limits = &limits
	return (&writer{prefix: rand.Text() + "-"}).copy(dst, src, o)
}

// writer is a Sink that writes a tar. It writes manifests last, when it is known which image the archive has.
type writer struct {
	out        *tar.Writer
	tags       []string
	keepTags   bool // keep the image's own
	limits     Limits
	prefix     string // random prefix of all names but manifest.json, so that no two loads share a name in containerd; empty keeps the names
	layout     bool   // write an OCI layout, too
	decompress bool   // decompress what some engines cannot read: zstd before 23, xz without the program, bzip2

	names   map[string]string // names of layers in dst, by their names in src
	written map[string]bool   // names in dst
	changed bool              // a layer was decompressed, so the OCI manifest no longer fits
}

func (w *writer) copy(dst io.Writer, src io.Reader, o Options) (Contents, error) {
	w.out, w.names, w.written = tar.NewWriter(dst), map[string]string{}, map[string]bool{}
	if o.Limits != nil {
		w.limits = *o.Limits
	}
	contents, err := Read(src, w, o)
	if err != nil {
		return Contents{}, err
	}
	if err := w.checkEngineLimits(contents); err != nil {
		return contents, err
	}
	if o.Accept != nil {
		if err := o.Accept(contents); err != nil {
			return contents, err
		}
	}
	if err := w.writeManifest(contents); err != nil {
		return Contents{}, err
	}
	return contents, w.out.Close()
}

// MaxEngineLayers is the most layers that Docker Engine stores for an image.
const MaxEngineLayers = 125

// checkEngineLimits refuses what no engine stores. It checks for duplicate paths only in a copy: an engine with
// containerd's store accepts them, and others refuse them themselves.
func (w *writer) checkEngineLimits(contents Contents) error {
	if n := len(contents.Layers); w.prefix != "" && n > MaxEngineLayers {
		return refuse("it has %d layers, and Docker Engine stores at most %d: build it with fewer", n, MaxEngineLayers)
	}
	return contents.CheckDuplicates()
}

// CheckDuplicates refuses an image with a path that is twice in a layer. It returns nil where none was looked for.
func (c Contents) CheckDuplicates() error {
	for i, layer := range c.Layers {
		if layer.duplicate != "" {
			return refuse("its layer %d has the path %q twice, which Docker Engine does not store: build it anew", i+1, layer.duplicate)
		}
	}
	return nil
}

// File implements Sink.
func (w *writer) File(_ *tar.Header, content io.Reader) error {
	_, err := io.Copy(io.Discard, content)
	return err
}

// Layer implements Sink. It also writes entries that turn out to be no layer; engines ignore files that no manifest
// names.
func (w *writer) Layer(header *tar.Header, content io.Reader) error {
	head := bufio.NewReaderSize(content, 64<<10)
	compression, err := Compression(head)
	if err != nil {
		return err
	}
	if w.decompress && compression != "" && compression != "gzip" {
		return w.writeDecompressed(header, head)
	}
	return w.writeLayer(path.Clean(header.Name), path.Clean(header.Name), header.Size, head)
}

// writeDecompressed writes a layer without its compression, which not every engine can read.
func (w *writer) writeDecompressed(header *tar.Header, packed io.Reader) error {
	w.changed = true
	plain, size, err := w.limits.Spool(packed)
	if err != nil {
		return err
	}
	defer plain.Close()
	name := path.Clean(header.Name)
	if blobName.MatchString(name) {
		return w.writeLayer(name, name+".tar", size, plain)
	}
	return w.writeLayer(name, name, size, plain)
}

// blobName matches the name of a layer in an OCI layout: its digest as stored.
var blobName = regexp.MustCompile(`^blobs/sha256/[0-9a-f]{64}$`)

func (w *writer) writeLayer(original, name string, size int64, content io.Reader) error {
	if w.prefix != "" { // an engine does not need the archive's own names
		name = fmt.Sprintf("%slayer-%d.tar", w.prefix, len(w.names)+1)
	}
	w.names[original] = name
	return w.writeFile(name, size, content)
}

func (w *writer) writeFile(name string, size int64, content io.Reader) error {
	if w.written[name] {
		return refuse("its entries would have two called %q", name)
	}
	w.written[name] = true
	if err := w.out.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size}); err != nil {
		return err
	}
	_, err := io.Copy(w.out, content)
	return err
}

// writeManifest writes the configuration and, last, manifest.json. Without manifest.json the archive is not an image.
func (w *writer) writeManifest(contents Contents) error {
	image := manifestEntry{Config: contents.configPath, RepoTags: dockerTags(w.tags), Layers: []string{}}
	if w.keepTags {
		image.RepoTags = dockerTags(contents.Tags)
	}
	if w.prefix != "" {
		image.Config = w.prefix + "config.json"
	}
	for _, layer := range contents.Layers {
		if layer.LeftOut {
			w.names[layer.Path] = w.prefix + path.Base(layer.Path) // there is no such entry
		}
		image.Layers = append(image.Layers, w.names[layer.Path])
	}
	if err := w.writeDescription(image.Config, contents.Config); err != nil {
		return err
	}
	if w.layout && !w.changed && image.Config == blobPath(contents.ID) && listsLayers(contents.Manifest, image.Layers) {
		top, err := describeManifest(contents.Manifest)
		if err != nil {
			return err
		}
		if err := w.writeIndex(top, contents.Manifest); err != nil {
			return err
		}
	}
	return w.writeManifestJSON(image)
}

func (w *writer) writeManifestJSON(image manifestEntry) error {
	text, err := json.Marshal([]manifestEntry{image})
	if err != nil {
		return err
	}
	return w.writeDescription("manifest.json", text)
}

// dockerTags returns the names that are valid tags, with :latest added where there is no tag. Docker does not load an
// archive that has any other.
func dockerTags(names []string) []string {
	var tags []string
	for _, name := range names {
		parsed, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			continue
		}
		if _, digested := parsed.(reference.Digested); digested {
			continue
		}
		if reference.IsNameOnly(parsed) {
			name += ":latest"
		}
		tags = append(tags, name)
	}
	return tags
}

func (w *writer) writeDescription(name string, text []byte) error {
	return w.writeFile(name, int64(len(text)), bytes.NewReader(text))
}

// listsLayers reports whether an OCI manifest has exactly these layers, by their names in a layout.
func listsLayers(text []byte, layers []string) bool {
	var found ocispec.Manifest
	return text != nil && parseJSON(text, &found) == nil && slices.EqualFunc(found.Layers, layers, func(layer ocispec.Descriptor, name string) bool {
		return blobPath(string(layer.Digest)) == name
	})
}

// describeManifest returns the descriptor of an OCI manifest.
func describeManifest(text []byte) (ocispec.Descriptor, error) {
	found, err := ParseManifest(text)
	mediaType := cmp.Or(found.MediaType, ocispec.MediaTypeImageManifest)
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}, err
}

// writeIndex makes the archive an OCI layout of this one manifest, which may be an index.
func (w *writer) writeIndex(top ocispec.Descriptor, text []byte) error {
	index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{top}})
	if err != nil {
		return err
	}
	for _, one := range []struct {
		name string
		text []byte
	}{{blobPath(string(top.Digest)), text}, {ocispec.ImageIndexFile, index}, {ocispec.ImageLayoutFile, []byte(`{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`)}} {
		if err := w.writeDescription(one.name, one.text); err != nil {
			return err
		}
	}
	return nil
}
