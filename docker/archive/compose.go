package archive

import (
	"archive/tar"
	"encoding/json"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Composed is an image whose layers can be had one by one.
type Composed struct {
	Manifest []byte // Docker's or OCI's; the archive has it unchanged, so its digest stays
	Config   []byte
	Layers   []StoredLayer // lowest first; those with an Image are left out

	// Open returns the stored bytes of a layer that is not left out. They are verified while they are read. Where it is nil,
	// all layers are left out.
	Open func(StoredLayer) (io.ReadCloser, error)
}

// Compose writes an image as a Docker archive that is an OCI layout, too, and lists its layers. It returns an *Error for
// what is no image, or one that does not have these layers.
func Compose(dst io.Writer, image Composed) error {
	if err := image.check(); err != nil {
		return err
	}
	top, err := describeManifest(image.Manifest)
	if err != nil {
		return err
	}
	return composition{top: top, members: []member{image.member(top)}, open: image.open}.write(dst)
}

// member returns the image as the one member of an archive.
func (c Composed) member(top ocispec.Descriptor) member {
	config := ocispec.Descriptor{Digest: digest.FromBytes(c.Config), Size: int64(len(c.Config))}
	blobs := []BundleBlob{{Descriptor: config, Content: c.Config}}
	for _, layer := range c.Layers {
		described := ocispec.Descriptor{MediaType: layer.MediaType, Digest: layer.Digest, Size: layer.Size}
		blobs = append(blobs, BundleBlob{Descriptor: described, Image: layer.Image, DiffID: layer.DiffID})
	}
	return member{
		bundle: Bundle{Descriptor: top, Manifest: c.Manifest, Blobs: blobs},
		image:  &BundleImage{Descriptor: top, ID: string(config.Digest), Layers: c.Layers},
	}
}

// open returns nil for a layer that is left out.
func (c Composed) open(blob BundleBlob) (io.ReadCloser, error) {
	switch {
	case blob.Content != nil:
		return blob.open()
	case blob.Image != "" || c.Open == nil:
		return nil, nil
	}
	return c.Open(blob.stored(blob.DiffID))
}

// check refuses what Read would not read again.
func (c Composed) check() error {
	found, err := ParseManifest(c.Manifest)
	if err != nil {
		return err
	}
	if err := CheckImageManifest(found); err != nil {
		return err
	}
	if err := verifyDigest("configuration", c.Config, found.Config.Digest); err != nil {
		return err
	}
	config, err := checkConfig(c.Config)
	if err != nil {
		return refuse("its configuration: %v", err)
	}
	if len(found.Layers) != len(c.Layers) || len(config.RootFS.DiffIDs) != len(c.Layers) {
		return refuse("its manifest has %d layers, its configuration %d, and there are %d", len(found.Layers), len(config.RootFS.DiffIDs), len(c.Layers))
	}
	for n, layer := range c.Layers {
		if err := layer.check(); err != nil {
			return refuse("its layer %d %v", n+1, err)
		}
		if !layer.is(found.Layers[n]) || layer.DiffID != config.RootFS.DiffIDs[n] {
			return refuse("its layer %d is %s, and not the one of its manifest and its configuration", n+1, shortDigest(string(layer.Digest)))
		}
	}
	return nil
}

// is tells whether a manifest describes this layer.
func (s StoredLayer) is(described ocispec.Descriptor) bool {
	return s.Digest == described.Digest && s.Size == described.Size
}

// composition is what an archive is made of.
type composition struct {
	top     ocispec.Descriptor
	members []member                                // the manifest at the top, then those that it names
	open    func(BundleBlob) (io.ReadCloser, error) // returns nil for one that is not in the archive
}

// write writes the list first: who removes layers that nobody needs reads no further. The manifest.json, which makes a Docker
// archive of it, comes last.
func (c composition) write(dst io.Writer) error {
	list, err := c.list()
	if err != nil {
		return err
	}
	w := &writer{out: tar.NewWriter(dst), names: map[string]string{}, written: map[string]bool{}}
	if err := w.writeDescription(listName, list); err != nil {
		return err
	}
	if err := w.writeIndex(c.top, c.members[0].bundle.Manifest); err != nil {
		return err
	}
	for _, one := range c.members[1:] {
		if err := w.writeDescription(blobPath(string(one.bundle.Descriptor.Digest)), one.bundle.Manifest); err != nil {
			return err
		}
	}
	for _, one := range c.members {
		if err := c.writeBlobs(w, one.bundle.Blobs); err != nil {
			return err
		}
	}
	if first := c.members[0]; first.image != nil {
		if err := w.writeManifestJSON(first.image.manifestEntry()); err != nil {
			return err
		}
	}
	return w.out.Close()
}

// list describes all layers of images, and then what else is left out. What several manifests name is listed once.
func (c composition) list() ([]byte, error) {
	list := layerList{Version: listVersion}
	listed := map[digest.Digest]bool{}
	add := func(layers []StoredLayer) {
		before := len(list.Layers)
		for _, layer := range layers {
			if !listed[layer.Digest] {
				list.Layers = append(list.Layers, layer)
			}
		}
		for _, layer := range list.Layers[before:] { // one image may have a layer twice, each in its place
			listed[layer.Digest] = true
		}
	}
	for _, one := range c.members {
		if one.image != nil {
			add(one.image.Layers)
		}
	}
	for _, one := range c.members {
		add(one.bundle.leftOut())
	}
	if err := checkMax(len(list.Layers), listLimit, "layers and other blobs"); err != nil {
		return nil, refuse("%v", err)
	}
	text, err := json.Marshal(list)
	if err == nil && len(text) > DescriptionLimit {
		err = refuse("its %s would have %d bytes, more than any image needs", listName, len(text))
	}
	return text, err
}

// writeBlobs writes layers first and the configuration last.
func (c composition) writeBlobs(w *writer, blobs []BundleBlob) error {
	if len(blobs) == 0 {
		return nil
	}
	for n, blob := range append(slices.Clone(blobs[1:]), blobs[0]) {
		if err := c.writeBlob(w, n+1, blob); err != nil {
			return err
		}
	}
	return nil
}

// writeBlob writes a blob that is in the archive, and is not there yet.
func (c composition) writeBlob(w *writer, number int, blob BundleBlob) error {
	name := blobPath(string(blob.Descriptor.Digest))
	if w.written[name] {
		return nil
	}
	stored, err := c.open(blob)
	if err != nil || stored == nil {
		return err
	}
	defer stored.Close()
	return w.writeFile(name, blob.Descriptor.Size, newVerifiedReader(stored, LeftOut{StoredLayer: blob.stored(""), Number: number}))
}
