package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
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

// Copy writes to dst, as a Docker archive, the image that src has in it, which may be an OCI layout in a tar. It gets
// these names, and none of those in src, unless there are none of these and o says that those are kept. Its files keep theirs. Where src has the image's OCI manifest, dst is an OCI layout as well, so that
// the manifest's digest stays. See Read for its errors.
func Copy(dst io.Writer, src io.Reader, tags []string, o Options) (Contents, error) {
	if o.Limits != nil {
		limits := *o.Limits
		limits.findDuplicates = true
		o.Limits = &limits
	}
	w := &writer{tags: tags, keepTags: o.KeepTags && len(tags) == 0, layout: true, decompress: true}
	return w.copy(dst, src, o)
}

// Load writes to dst what Docker Engine needs of the image that src has in it: its layers, its configuration and a
// manifest.json, which is made here and comes last. Each layer has been unpacked and hashed before that, whatever o
// says, so an engine cannot complete the image with a layer that src does not have. What dst was given when Load
// returns an error is no image to any engine. See Read for its errors.
func Load(dst io.Writer, src io.Reader, o Options) (Contents, error) {
	limits := Limits{}
	if o.Limits != nil {
		limits = *o.Limits
	}
	limits.engine = true
	o.Limits = &limits
	return (&writer{prefix: rand.Text() + "-"}).copy(dst, src, o)
}

// writer is a sink that writes a tar. Descriptions are written at the end, when it is known which of them the image has.
type writer struct {
	out    *tar.Writer
	tags   []string
	keepTags   bool // the names that the image has
	limits Limits
	prefix string // of all names but manifest.json, which are made here then; containerd must not see two loads use one
	layout bool   // write an OCI layout, too
	decompress bool   // unpack what not every engine can read: zstd before 23, xz without the program, bzip2

	names   map[string]string // of layers in dst, by those in src
	written map[string]bool   // names in dst
	changed bool              // a layer was unpacked, so that the OCI manifest is not of what is written
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

// EngineLayers is the most layers of an image that Docker Engine stores.
const MaxEngineLayers = 125

// storable refuses what no engine stores. Whether a path may occur twice in a layer, an engine says itself: one with
// containerd's store takes it.
func (w *writer) checkEngineLimits(contents Contents) error {
	if n := len(contents.Layers); w.prefix != "" && n > MaxEngineLayers {
		return refuse("it has %d layers, and Docker Engine stores at most %d: build it with fewer", n, MaxEngineLayers)
	}
	for i, layer := range contents.Layers {
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

// Layer implements Sink. What it writes need not be a layer of the image; engines ignore files that no manifest names.
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

// unpacked writes a layer unpacked that not every engine can read.
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

// blobName is what a layer is called in a layout: by the digest of it as it is packed there.
var blobName = regexp.MustCompile(`^blobs/sha256/[0-9a-f]{64}$`)

func (w *writer) writeLayer(original, name string, size int64, content io.Reader) error {
	if w.prefix != "" { // no name of the archive's means anything to an engine
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

// describe writes what an engine reads first, last: without it, the rest is no image.
func (w *writer) writeManifest(contents Contents) error {
	image := manifestEntry{Config: contents.configPath, RepoTags: dockerTags(w.tags), Layers: []string{}}
	if w.keepTags {
		image.RepoTags = dockerTags(contents.Tags)
	}
	if w.prefix != "" {
		image.Config = w.prefix + "config.json"
	}
	for _, layer := range contents.Layers {
		image.Layers = append(image.Layers, w.names[layer.Path])
	}
	if err := w.writeDescription(image.Config, contents.Config); err != nil {
		return err
	}
	if w.layout && !w.changed && image.Config == blobPath(contents.ID) && listsLayers(contents.Manifest, image.Layers) {
		if err := w.writeIndex(contents.Manifest); err != nil {
			return err
		}
	}
	text, err := json.Marshal([]manifestEntry{image})
	if err != nil {
		return err
	}
	return w.writeDescription("manifest.json", text)
}

// tagsOf are those of the names that Docker would give an image, each with its tag: it loads no archive that has another one.
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

// isManifestOf tells whether an OCI manifest is of these layers, by their names in a layout.
func listsLayers(text []byte, layers []string) bool {
	var found ocispec.Manifest
	return text != nil && parseJSON(text, &found) == nil && slices.EqualFunc(found.Layers, layers, func(layer ocispec.Descriptor, name string) bool {
		return blobPath(string(layer.Digest)) == name
	})
}

// index makes the archive an OCI layout of this manifest alone.
func (w *writer) writeIndex(text []byte) error {
	var found ocispec.Manifest
	if err := parseJSON(text, &found); err != nil {
		return err
	}
	described := ocispec.Descriptor{MediaType: found.MediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	if described.MediaType == "" {
		described.MediaType = ocispec.MediaTypeImageManifest
	}
	index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{described}})
	if err != nil {
		return err
	}
	for _, one := range []struct {
		name string
		text []byte
	}{{blobPath(string(described.Digest)), text}, {ocispec.ImageIndexFile, index}, {ocispec.ImageLayoutFile, []byte(`{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`)}} {
		if err := w.writeDescription(one.name, one.text); err != nil {
			return err
		}
	}
	return nil
}
