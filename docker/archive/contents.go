package archive

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Contents describes the image in an archive.
type Contents struct {
	ID              string   // sha256:… of the configuration, which is Docker's image id
	Tags            []string // from the archive
	Platform        Platform
	PlatformAssumed bool // part of Platform is not from the configuration, which does not say it
	Config          []byte
	Manifest        []byte  // the image's OCI manifest if the archive has one; compare its layers before using it
	Layers          []Layer // lowest first
	Unpacked        int64   // in bytes; 0 where layers were not inspected

	// What the layers take on an engine's disk, but those that it has (LayerSource).
	Disk  int64 // most bytes, metadata of the files included
	Files int   // number of files, directories included

	configPath string // path in the archive
}

// index records the entries of an archive: JSON, layers and links.
type index struct {
	json   map[string][]byte // by path
	layers map[string]Layer
	links  map[string]string
	list   listEntry
}

func newIndex() index {
	return index{json: map[string][]byte{}, layers: map[string]Layer{}, links: map[string]string{}}
}

// manifestEntry is one image in a manifest.json.
type manifestEntry struct {
	Config   string
	RepoTags []string
	Layers   []string

	platform Platform // from an OCI index
}

// chosenImage is the requested image, before its layers are looked for.
type chosenImage struct {
	Contents
	paths   []string // of its layers, as the archive names them
	diffIDs []digest.Digest
}

// chooseImage finds the requested image and its configuration.
func (i index) chooseImage(o Options) (chosenImage, error) {
	chosen, err := i.choose(o)
	if err != nil {
		return chosenImage{}, err
	}
	config, ok := i.json[entryName(chosen.Config)]
	if !ok {
		return chosenImage{}, refuse("its configuration %q is missing", chosen.Config)
	}
	image, err := checkConfig(config)
	if err != nil {
		return chosenImage{}, refuse("its configuration %q: %v", chosen.Config, err)
	}
	if len(image.RootFS.DiffIDs) != len(chosen.Layers) {
		return chosenImage{}, refuse("it has %d layers, and its configuration names %d", len(chosen.Layers), len(image.RootFS.DiffIDs))
	}
	if err := i.checkIndex(config); err != nil {
		return chosenImage{}, err
	}
	id := string(digest.FromBytes(config))
	stated := Platform{OS: image.OS, Architecture: image.Architecture, Variant: image.Variant}
	return chosenImage{paths: chosen.Layers, diffIDs: image.RootFS.DiffIDs, Contents: Contents{
		ID: id, Tags: chosen.RepoTags, Config: config, Manifest: i.findManifest(id), configPath: entryName(chosen.Config),
		Platform: stated.Or(chosen.platform, o.Platform), PlatformAssumed: !stated.IsComplete(),
	}}, nil
}

// checkIndex refuses an archive whose manifest.json and index.json are about different images: engines take the one, and who
// reads it as an OCI layout takes the other. Only what has a list must have a manifest in both: engines save indexes, too.
func (i index) checkIndex(config []byte) error {
	if i.json["manifest.json"] == nil {
		return nil
	}
	indexed, found := i.onlyManifest()
	if found && verifyDigest("configuration", config, indexed.Config.Digest) == nil || !found && i.list.entry != 1 {
		return nil
	}
	return refuse("its index.json is about another image than its manifest.json, or about several")
}

// onlyManifest returns the manifest of an index.json that names one, and no index.
func (i index) onlyManifest() (ocispec.Manifest, bool) {
	var top ocispec.Index
	if parseJSON(i.json[ocispec.ImageIndexFile], &top) != nil || len(top.Manifests) != 1 {
		return ocispec.Manifest{}, false
	}
	text := i.json[blobPath(string(top.Manifests[0].Digest))]
	if verifyDigest("manifest", text, top.Manifests[0].Digest) != nil {
		return ocispec.Manifest{}, false
	}
	found, err := ParseManifest(text)
	return found, err == nil && found.Config.Digest != ""
}

// findManifest returns the OCI manifest of a configuration, or nil. Engines from 25 on write it beside manifest.json.
func (i index) findManifest(config string) []byte {
	for _, name := range slices.Sorted(maps.Keys(i.json)) {
		var found ocispec.Manifest
		text := i.json[name]
		if name == blobPath(string(digest.FromBytes(text))) && parseJSON(text, &found) == nil && string(found.Config.Digest) == config {
			return text
		}
	}
	return nil
}

// resolveLayers finds each layer of the image. A layer that was inspected must have the digest that the configuration
// says.
func (i index) resolveLayers(image chosenImage, limits *Limits) (Contents, error) {
	contents := image.Contents
	var all, added LayerSize
	for n, name := range image.paths {
		layer, ok := i.findLayer(name)
		if !ok {
			return contents, refuse("its layer %d, %q, is missing", n+1, name)
		}
		diffID := string(image.diffIDs[n])
		if err := layer.verify(n+1, diffID); err != nil {
			return contents, err
		}
		layer.DiffID = diffID
		contents.Layers = append(contents.Layers, layer)
		if all = all.add(layer.LayerSize); !layer.LeftOut {
			added = added.add(layer.LayerSize)
		}
		if err := limits.checkImageSize(all); err != nil { // an image may list a layer many times
			return contents, refuse("it %v", err)
		}
	}
	contents.Unpacked, contents.Files = all.Unpacked, added.Files
	contents.Disk = AddSizes(added.Stored, int64(added.Files)*BlockSize)
	return contents, nil
}

// entryName returns the name of the entry that a manifest refers to. A manifest may say /layer.tar for layer.tar.
func entryName(name string) string {
	return strings.TrimPrefix(path.Clean(name), "/")
}

// findLayer returns a layer by its name. A layer that occurs twice may be a link to another.
func (i index) findLayer(name string) (Layer, bool) {
	name = entryName(name)
	if to, linked := i.links[name]; linked { // one link only: nobody writes chains
		name = to
	}
	layer, ok := i.layers[name]
	return layer, ok
}

func (i index) choose(o Options) (manifestEntry, error) {
	if text, ok := i.json["manifest.json"]; ok {
		var images []manifestEntry
		if err := parseJSON(text, &images); err != nil {
			return manifestEntry{}, refuse("its manifest.json: %v", err)
		}
		return chooseTagged(images, o.Name)
	}
	if text, ok := i.json["index.json"]; ok {
		return i.chooseOCI(text, o)
	}
	if _, ok := i.json["repositories"]; ok {
		return manifestEntry{}, refuse("it has no manifest.json, as what a Docker before 1.10 saved: load it into an engine that still takes it, and save it from there")
	}
	if dir := i.topDirectory(); dir != "" {
		return manifestEntry{}, refuse("its files lie in a directory, %q, where they are not looked for: pack what is in it, as 'tar -C %q -cf FILE .' does", dir, dir)
	}
	return manifestEntry{}, refuse("it is a tar archive without a manifest.json, so not one that 'docker save' wrote")
}

// topDirectory returns the directory that holds the whole image, where somebody packed the directory itself.
func (i index) topDirectory() string {
	for _, name := range slices.Sorted(maps.Keys(i.json)) {
		if dir, base := path.Split(name); dir != "" && (base == "manifest.json" || base == ocispec.ImageIndexFile) {
			return path.Clean(dir)
		}
	}
	return ""
}

func chooseTagged(images []manifestEntry, name string) (manifestEntry, error) {
	if name == "" {
		if len(images) != 1 {
			return manifestEntry{}, refuse("it holds %d images, and one is wanted: %s", len(images), imageNames(images))
		}
		return images[0], nil
	}
	if place, found := strings.CutPrefix(name, "@"); found {
		i, err := strconv.Atoi(place)
		if err != nil || i < 0 || i >= len(images) {
			return manifestEntry{}, refuse("it holds %d images, and none is at the place %q; the first is @0", len(images), name)
		}
		return images[i], nil
	}
	var named []manifestEntry
	for _, image := range images {
		if slices.ContainsFunc(image.RepoTags, func(tag string) bool { return SameName(tag, name) }) {
			named = append(named, image)
		}
	}
	switch len(named) {
	case 0:
		return manifestEntry{}, refuse("it holds no image %q, only: %s", name, imageNames(images))
	case 1:
		return named[0], nil
	}
	return manifestEntry{}, refuse("it holds %d images that are called %q", len(named), name)
}

// SameName reports whether Docker reads two names as the same image, such as web and docker.io/library/web:latest.
func SameName(one, other string) bool {
	return one == other || fullName(one) == fullName(other)
}

func fullName(name string) string {
	parsed, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return reference.TagNameOnly(parsed).String()
}

// HasName reports whether an entry of an index has this name. An entry has a tag, or the full name that containerd
// and podman write.
func HasName(annotations map[string]string, name string) bool {
	own, full := annotations[ocispec.AnnotationRefName], annotations[containerdName]
	return own == name || full != "" && SameName(full, name) || strings.ContainsAny(own, ":/") && SameName(own, name)
}

// containerdName is the annotation in which containerd and Docker Engine write an image's full name.
const containerdName = "io.containerd.image.name"

func imageNames(images []manifestEntry) string {
	const shown = 10
	var all []string
	for _, image := range images {
		all = append(all, image.RepoTags...)
	}
	if len(all) > shown {
		all = append(all[:shown], "…")
	}
	if len(all) == 0 {
		return "none has a name, but @0 is the first"
	}
	return strings.Join(all, ", ")
}

// chooseOCI follows the indexes of a layout to one manifest.
func (i index) chooseOCI(text []byte, o Options) (manifestEntry, error) {
	var tags []string
	var platform Platform
	for depth := 0; ; depth++ {
		var index ocispec.Index
		if depth > indexDepth {
			return manifestEntry{}, refuse("its indexes are more than %d deep in each other", indexDepth)
		}
		if err := parseJSON(text, &index); err != nil {
			return manifestEntry{}, refuse("its index.json or what it names is no index: %v", err)
		}
		next, err := chooseManifest(index.Manifests, o, depth == 0)
		if err != nil {
			return manifestEntry{}, err
		}
		platform = DescriptorPlatform(next).Or(platform)
		if name := next.Annotations[ocispec.AnnotationRefName]; strings.Contains(name, ":") {
			tags = []string{name}
		}
		blob, ok := i.json[blobPath(string(next.Digest))]
		if !ok {
			return manifestEntry{}, refuse("its manifest %s is missing", shortDigest(string(next.Digest)))
		}
		if err := verifyDigest("manifest", blob, next.Digest); err != nil {
			return manifestEntry{}, err
		}
		if !isIndex(next.MediaType) {
			chosen, err := i.ociManifest(blob, tags)
			chosen.platform = platform
			return chosen, err
		}
		text = blob
	}
}

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == "application/vnd.docker.distribution.manifest.list.v2+json"
}

// verifyDigest refuses a blob whose digest is not the one it is named by.
func verifyDigest(what string, blob []byte, want digest.Digest) error {
	if want.Validate() != nil || want.Algorithm().FromBytes(blob) != want {
		return refuse("its %s is damaged: it should be %s", what, shortDigest(string(want)))
	}
	return nil
}

func (i index) ociManifest(blob []byte, tags []string) (manifestEntry, error) {
	found, err := ParseManifest(blob)
	if err != nil {
		return manifestEntry{}, err
	}
	if err := CheckImageManifest(found); err != nil {
		return manifestEntry{}, err
	}
	if config, ok := i.json[blobPath(string(found.Config.Digest))]; ok {
		if err := verifyDigest("configuration", config, found.Config.Digest); err != nil {
			return manifestEntry{}, err
		}
	}
	chosen := manifestEntry{Config: blobPath(string(found.Config.Digest)), RepoTags: tags}
	for _, layer := range found.Layers {
		chosen.Layers = append(chosen.Layers, blobPath(string(layer.Digest)))
	}
	return chosen, nil
}

func blobPath(digest string) string {
	algorithm, hash, _ := strings.Cut(digest, ":")
	return path.Join("blobs", algorithm, hash)
}

// chooseManifest returns the one manifest of an index that has the name and fits the platform.
func chooseManifest(all []ocispec.Descriptor, o Options, top bool) (ocispec.Descriptor, error) {
	matching := MatchingManifests(all, o, top)
	if len(matching) != 1 {
		return ocispec.Descriptor{}, refuse("its index has %d images for %s%s, and one is wanted; it has images for %s", len(matching), o.Platform, nameClause(o.Name), Platforms(all))
	}
	return matching[0], nil
}

func nameClause(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf(" that are called %q", name)
}
