package archive

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Bundle is a manifest of any kind with all that it names: an image, an index of several, or an artifact such as a chart
// or a signature.
type Bundle struct {
	Descriptor ocispec.Descriptor // of Manifest; the media type tells whether it is an index
	Manifest   []byte
	Blobs      []BundleBlob // of a manifest: its configuration, then its layers, each in its place
	Manifests  []Bundle     // of an index: each in its place
}

// BundleBlob is what a manifest names: a configuration, a layer, or any other bytes. One that has neither an Image nor
// Content is nowhere: a foreign layer, which its maker keeps at a URL.
type BundleBlob struct {
	Descriptor ocispec.Descriptor
	Image      string        // id of the Glance image that has it, where the archive leaves it out
	Content    []byte        // of one that is in the archive
	DiffID     digest.Digest // what InspectLayer found; empty where it was not asked
	Unpacked   int64         // the same; it counts with a DiffID only
}

// BundleImage is an image of a bundle that could boot: its configuration is there, and fits its layers.
type BundleImage struct {
	Descriptor ocispec.Descriptor // of its manifest
	ID         string             // sha256:… of the configuration, which is Docker's image id
	Platform   Platform
	Layers     []StoredLayer // lowest first
	Unpacked   int64         // in bytes; 0 where it is not known of each layer
}

// Limits of a bundle.
const (
	indexDepth  = 3         // indexes in indexes, which nobody makes
	listLimit   = 4096      // entries in layers.json; an image for eight platforms has about 100 layers
	bundleBlobs = 8192      // blobs and manifests in an archive; ReadSections takes more
	bundleLimit = 192 << 20 // bytes in an archive: 127 layers of a MiB, and descriptions; ReadSections takes more
)

// ComposeBundle writes a bundle as an archive that is an OCI layout, and a Docker archive where it is one image. It lists the
// layers of images, and all that is left out. It returns an *Error for what is not complete, or would not be read again.
func ComposeBundle(dst io.Writer, b Bundle) error {
	members, err := b.members()
	if err != nil {
		return err
	}
	top := members[0].bundle.Descriptor
	top = ocispec.Descriptor{MediaType: top.MediaType, Digest: top.Digest, Size: top.Size} // names would be taken for the image's
	return composition{top: top, members: members, open: BundleBlob.open}.write(dst)
}

// Images returns the images of a bundle that could boot. An artifact has none. Its errors are those of ComposeBundle.
func (b Bundle) Images() ([]BundleImage, error) {
	members, err := b.members()
	if err != nil {
		return nil, err
	}
	var all []BundleImage
	for _, one := range members {
		if one.image != nil {
			all = append(all, *one.image)
		}
	}
	return all, nil
}

// member is a manifest of a bundle, or an index.
type member struct {
	bundle Bundle
	image  *BundleImage // nil for what could not boot
}

// members returns the manifest at the top and then all that it names, each once.
func (b Bundle) members() ([]member, error) {
	found := gathered{seen: map[digest.Digest]bool{}, layers: map[digest.Digest]StoredLayer{}}
	if err := found.add(b, 0); err != nil {
		return nil, err
	}
	return found.members, found.checkSizes()
}

// gathered are the members of a bundle so far.
type gathered struct {
	members []member
	entries int
	seen    map[digest.Digest]bool
	layers  map[digest.Digest]StoredLayer // of the images
}

// add checks a bundle, and adds it with all that it names.
func (g *gathered) add(b Bundle, depth int) error {
	if err := b.checkManifest(); err != nil {
		return err
	}
	if g.seen[b.Descriptor.Digest] {
		return nil
	}
	g.seen[b.Descriptor.Digest] = true
	if g.entries += 1 + len(b.Blobs); g.entries > bundleBlobs {
		return refuse("it has more than %d manifests and blobs, the most that are allowed", bundleBlobs)
	}
	if isIndex(b.Descriptor.MediaType) {
		return g.addIndex(b, depth)
	}
	manifest, err := b.parseManifest()
	if err != nil {
		return err
	}
	one := member{bundle: b}
	if image, ok := b.image(manifest); ok && g.agrees(image.Layers) {
		one.image = &image
		for _, layer := range image.Layers {
			g.layers[layer.Digest] = layer
		}
	}
	g.members = append(g.members, one)
	return nil
}

// agrees tells whether the images before say the same of these layers. One of two that do not is no image.
func (g *gathered) agrees(layers []StoredLayer) bool {
	own := map[digest.Digest]StoredLayer{}
	for _, layer := range layers {
		before, twice := g.layers[layer.Digest]
		if !twice {
			before, twice = own[layer.Digest]
		}
		if twice && (before.DiffID != layer.DiffID || before.Size != layer.Size) {
			return false
		}
		own[layer.Digest] = layer
	}
	return true
}

func (g *gathered) addIndex(b Bundle, depth int) error {
	if depth == indexDepth {
		return refuse("its indexes are more than %d deep in each other", indexDepth)
	}
	index, err := ParseIndex(b.Manifest)
	if err != nil {
		return err
	}
	if err := checkKind(index.MediaType, b.Descriptor.MediaType, b.Manifest, "config", "layers"); err != nil {
		return err
	}
	if len(b.Blobs) > 0 || len(b.Manifests) != len(index.Manifests) {
		return refuse("its index names %d manifests, and there are %d, and %d blobs",
			len(index.Manifests), len(b.Manifests), len(b.Blobs))
	}
	g.members = append(g.members, member{bundle: b})
	for n, one := range b.Manifests {
		if said := index.Manifests[n]; one.Descriptor.Digest != said.Digest || one.Descriptor.Size != said.Size {
			return refuse("its manifest %d is %s, and not the one of its index", n+1, shortDigest(string(one.Descriptor.Digest)))
		}
		one.Descriptor = index.Manifests[n]
		if err := g.add(one, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// checkKind refuses what is one thing by its descriptor and another by itself.
func checkKind(own, described string, text []byte, others ...string) error {
	if own != "" && own != described {
		return refuse("it is %.80q by its own media type, and %.80q for who names it", own, described)
	}
	var keys map[string]json.RawMessage
	if err := parseJSON(text, &keys); err != nil {
		return refuse("its manifest: %v", err)
	}
	for key := range keys {
		if slices.ContainsFunc(others, func(other string) bool { return foldKey(other) == foldKey(key) }) {
			return refuse("it is an index and a manifest at once: it is %.80q, and has %.80q", described, key)
		}
	}
	return nil
}

// checkManifest verifies the bytes of a manifest.
func (b Bundle) checkManifest() error {
	if b.Descriptor.MediaType == "" {
		return refuse("nobody says whether its manifest %s is an index: it has no media type", shortDigest(string(b.Descriptor.Digest)))
	}
	if !isSHA256(b.Descriptor.Digest) || b.Descriptor.Size != int64(len(b.Manifest)) {
		return refuse("its manifest %s has %d bytes, and should have %d and a SHA-256",
			shortDigest(string(b.Descriptor.Digest)), len(b.Manifest), b.Descriptor.Size)
	}
	return verifyDigest("manifest", b.Manifest, b.Descriptor.Digest)
}

// parseManifest reads a manifest, and refuses one whose blobs are not those of the bundle.
func (b Bundle) parseManifest() (ocispec.Manifest, error) {
	manifest, err := ParseManifest(b.Manifest)
	if err != nil {
		return manifest, err
	}
	if err := checkKind(manifest.MediaType, b.Descriptor.MediaType, b.Manifest, "manifests"); err != nil {
		return manifest, err
	}
	named := append([]ocispec.Descriptor{manifest.Config}, manifest.Layers...)
	if len(b.Manifests) > 0 || len(b.Blobs) != len(named) {
		return manifest, refuse("its manifest names %d blobs, and there are %d, and %d manifests",
			len(named), len(b.Blobs), len(b.Manifests))
	}
	for n, blob := range b.Blobs {
		if said := named[n]; blob.Descriptor.Digest != said.Digest || blob.Descriptor.Size != said.Size {
			return manifest, refuse("its blob %d is %s, and not the one of its manifest", n+1, shortDigest(string(blob.Descriptor.Digest)))
		}
		if err := blob.check(); err != nil {
			return manifest, err
		}
	}
	return manifest, nil
}

// check refuses a blob that is nowhere, or is not what its descriptor says.
func (b BundleBlob) check() error {
	name := shortDigest(string(b.Descriptor.Digest))
	switch {
	case b.Image != "" && b.Content != nil:
		return refuse("its blob %s is left out, and there", name)
	case b.Image != "":
		if err := b.stored("").check(); err != nil {
			return refuse("its blob %s %v", name, err)
		}
		return nil
	case b.isAbsent():
		return nil
	case !isSHA256(b.Descriptor.Digest) || b.Descriptor.Size != int64(len(b.Content)):
		return refuse("its blob %s has %d bytes, and should have %d and a SHA-256", name, len(b.Content), b.Descriptor.Size)
	case len(b.Content) > DescriptionLimit:
		return refuse("its blob %s has %d bytes, too many to be in the archive", name, len(b.Content))
	}
	return verifyDigest("blob "+name, b.Content, b.Descriptor.Digest)
}

// isAbsent tells whether it is a foreign layer that its maker keeps.
func (b BundleBlob) isAbsent() bool {
	return b.Image == "" && b.Content == nil && len(b.Descriptor.URLs) > 0
}

// stored describes it as a layer with this diff id.
func (b BundleBlob) stored(diffID digest.Digest) StoredLayer {
	d := b.Descriptor
	return StoredLayer{Digest: d.Digest, DiffID: diffID, Size: d.Size, MediaType: d.MediaType, Image: b.Image}
}

// open returns nil for a blob that is not in the archive.
func (b BundleBlob) open() (io.ReadCloser, error) {
	if b.Image != "" || b.isAbsent() {
		return nil, nil
	}
	return io.NopCloser(bytes.NewReader(b.Content)), nil
}

// image returns the image that a manifest describes, or false where it could not boot.
func (b Bundle) image(manifest ocispec.Manifest) (BundleImage, bool) {
	config, err := checkConfig(b.Blobs[0].Content)
	diffIDs, layers := config.RootFS.DiffIDs, b.Blobs[1:]
	if err != nil || isAttestation(b.Descriptor) || CheckImageManifest(manifest) != nil || len(diffIDs) != len(layers) {
		return BundleImage{}, false
	}
	stated := Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}
	image := BundleImage{Descriptor: b.Descriptor, ID: string(b.Blobs[0].Descriptor.Digest)}
	image.Platform = stated.Or(DescriptorPlatform(b.Descriptor))
	known := true
	for n, blob := range layers {
		layer := blob.stored(diffIDs[n])
		if blob.isAbsent() || layer.check() != nil || !isSHA256(layer.DiffID) || blob.DiffID != "" && blob.DiffID != layer.DiffID {
			return BundleImage{}, false
		}
		image.Layers = append(image.Layers, layer)
		image.Unpacked = AddSizes(image.Unpacked, blob.Unpacked)
		known = known && blob.DiffID != ""
	}
	if !known {
		image.Unpacked = 0
	}
	return image, true
}

// isSHA256 tells whether it is a digest that Docker knows layers by.
func isSHA256(d digest.Digest) bool {
	return d.Validate() == nil && d.Algorithm() == digest.SHA256
}

// manifestEntry names the image's files in its archive.
func (b BundleImage) manifestEntry() manifestEntry {
	entry := manifestEntry{Config: blobPath(b.ID), Layers: []string{}}
	for _, layer := range b.Layers {
		entry.Layers = append(entry.Layers, blobPath(string(layer.Digest)))
	}
	return entry
}

// leftOut describes the blobs that are left out. Nobody needs their diff ids but for layers of images.
func (b Bundle) leftOut() []StoredLayer {
	var all []StoredLayer
	for _, blob := range b.Blobs {
		if blob.Image != "" {
			all = append(all, blob.stored(""))
		}
	}
	return all
}

// checkSizes refuses more than who reads the archive takes.
func (g *gathered) checkSizes() error {
	var descriptions, all int64
	counted := map[digest.Digest]bool{}
	for _, one := range g.members {
		descriptions += int64(len(one.bundle.Manifest))
		for _, blob := range one.bundle.Blobs {
			if counted[blob.Descriptor.Digest] {
				continue
			}
			counted[blob.Descriptor.Digest] = true
			if all += int64(len(blob.Content)); blob.mayBeDescription() {
				descriptions += int64(len(blob.Content))
			}
		}
	}
	switch {
	case all > bundleLimit:
		return refuse("it has %d bytes in small blobs; at most %d are allowed", all, bundleLimit)
	case descriptions > descriptionsLimit-2*DescriptionLimit: // the list is one, too
		return refuse("it has %d bytes of manifests and configurations; at most %d are allowed",
			descriptions, descriptionsLimit-2*DescriptionLimit)
	}
	return nil
}

// mayBeDescription tells whether Read keeps it in memory.
func (b BundleBlob) mayBeDescription() bool {
	head := b.Content[:min(len(b.Content), tarBlockSize)]
	return compressionOf(string(head[:min(len(head), 4)])) == "" && isDescription(head)
}

// isAttestation tells whether an index says of a manifest that it is about another one, as BuildKit writes it.
func isAttestation(one ocispec.Descriptor) bool {
	_, refers := one.Annotations["vnd.docker.reference.type"]
	return refers || one.Platform != nil && one.Platform.OS == "unknown" && one.Platform.Architecture == "unknown"
}
