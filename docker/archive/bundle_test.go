package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// bundleOf is the bundle of an image, with its small layers in it.
func bundleOf(t testing.TB, image Composed) Bundle {
	t.Helper()
	described, err := describeManifest(image.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := ParseManifest(image.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	b := Bundle{Descriptor: described, Manifest: image.Manifest, Blobs: []BundleBlob{{Descriptor: manifest.Config, Content: image.Config}}}
	for n, layer := range image.Layers {
		blob := BundleBlob{Descriptor: manifest.Layers[n], Image: layer.Image}
		if layer.Image == "" {
			content, err := image.Open(layer)
			if err != nil {
				t.Fatal(err)
			}
			if blob.Content, err = io.ReadAll(content); err != nil {
				t.Fatal(err)
			}
		}
		b.Blobs = append(b.Blobs, blob)
	}
	return b
}

// on says which platform an index states for it.
func (b Bundle) on(system, architecture string) Bundle {
	b.Descriptor.Platform = &ocispec.Platform{OS: system, Architecture: architecture}
	return b
}

// indexOf is an index of these.
func indexOf(t testing.TB, all ...Bundle) Bundle {
	t.Helper()
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	index.SchemaVersion = 2
	for _, one := range all {
		index.Manifests = append(index.Manifests, one.Descriptor)
	}
	text, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	return Bundle{Descriptor: described(index.MediaType, text), Manifest: text, Manifests: all}
}

func described(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// artifactOf is a manifest of these blobs, the first of which is its configuration.
func artifactOf(t testing.TB, blobs ...BundleBlob) Bundle {
	t.Helper()
	manifest := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: blobs[0].Descriptor, Layers: []ocispec.Descriptor{}}
	manifest.SchemaVersion = 2
	for _, blob := range blobs[1:] {
		manifest.Layers = append(manifest.Layers, blob.Descriptor)
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return Bundle{Descriptor: described(manifest.MediaType, text), Manifest: text, Blobs: blobs}
}

func blobOf(mediaType, content string) BundleBlob {
	return BundleBlob{Descriptor: described(mediaType, []byte(content)), Content: []byte(content)}
}

// leftOutAs is a blob that is an image of Glance.
func (b BundleBlob) leftOutAs(image string) BundleBlob {
	b.Image, b.Content = image, nil
	return b
}

// chart is a Helm chart whose one file is in Glance.
func chart(t testing.TB) Bundle {
	return artifactOf(t, blobOf("application/vnd.cncf.helm.config.v1+json", `{"name":"web"}`),
		blobOf("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "the chart's files").leftOutAs("chart-1"))
}

// attestation is what BuildKit adds to each image that it pushes.
func attestation(t testing.TB) Bundle {
	b := artifactOf(t, blobOf(ocispec.MediaTypeImageConfig, `{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers","diff_ids":["`+sumOf([]byte("{}"))+`"]}}`),
		blobOf("application/vnd.in-toto+json", `{}`)).on("unknown", "unknown")
	b.Descriptor.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	return b
}

func composeBundle(t testing.TB, b Bundle) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := ComposeBundle(&out, b); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// severalPlatforms is an index of images for amd64 and arm64, which share their lowest layer, with an attestation each.
func severalPlatforms(t testing.TB) (Bundle, map[string]Composed, storedLayers) {
	t.Helper()
	all, images := storedLayers{}, map[string]Composed{}
	var members []Bundle
	for _, architecture := range []string{"amd64", "arm64"} {
		plain := [][]byte{files(t, "base"), files(t, architecture), files(t, "small"+architecture)}
		packed := [][]byte{plain[0], zip(t, plain[1]), plain[2]}
		image, stored := composedFor(t, architecture, plain, packed)
		images[architecture] = image.without(1, 2)
		for name, content := range stored {
			all[name] = content
		}
		members = append(members, bundleOf(t, images[architecture]).on("linux", architecture), attestation(t))
	}
	return indexOf(t, members...), images, all
}

// TestBundleOfOneImage: an image is the same archive, however it is written.
func TestBundleOfOneImage(t *testing.T) {
	image, _ := composedOf(t, files(t, "one"), files(t, "two"), files(t, "one"))
	for _, numbers := range [][]int{{}, {2}, {1, 2, 3}} {
		composed := image.without(numbers...)
		for n := range composed.Layers {
			composed.Layers[n].MediaType = "application/vnd.oci.image.layer.v1.tar"
		}
		if !bytes.Equal(composeBundle(t, bundleOf(t, composed)), compose(t, composed)) {
			t.Errorf("without %v: it differs", numbers)
		}
	}
}

// TestBundleOfAnIndex: each platform gets its own image, and the same as from an archive of that one alone.
func TestBundleOfAnIndex(t *testing.T) {
	index, images, stored := severalPlatforms(t)
	packed := composeBundle(t, index)
	for architecture, image := range images {
		asked := askedFor{stored, map[digest.Digest]bool{}}
		o := withLayers(asked)
		o.Platform = Platform{OS: "linux", Architecture: architecture}
		var out bytes.Buffer
		found, err := Load(&out, bytes.NewReader(packed), o)
		if err != nil || found.ID != string(digest.FromBytes(image.Config)) || found.Platform.Architecture != architecture || len(found.Layers) != 3 {
			t.Fatalf("%s: got %+v, %v", architecture, found, err)
		}
		if engine, err := dockerReads(out.Bytes()); err != nil || engine.complete() != nil {
			t.Errorf("%s: an engine reads %v", architecture, err)
		}
		out.Reset()
		if _, err := Copy(&out, bytes.NewReader(packed), []string{"web:1"}, o); err != nil {
			t.Fatal(err)
		}
		o.Layers = nil
		if copied, err := Load(io.Discard, &out, o); err != nil || copied.ID != found.ID || string(copied.Manifest) != string(image.Manifest) {
			t.Errorf("%s: its copy is %+v, %v", architecture, copied, err)
		}
		if len(asked.names) != 2 || !asked.names[image.Layers[0].Digest] || !asked.names[image.Layers[1].Digest] {
			t.Errorf("%s: asked for %v", architecture, asked.names)
		}
	}
	_, err := Load(io.Discard, bytes.NewReader(packed), Options{Platform: Platform{OS: "linux", Architecture: "s390x"}, Layers: stored})
	wantRefusal(t, err, "its index has 0 images for linux/s390x, and one is wanted; it has images for linux/amd64, linux/arm64")
}

// askedFor records what is read.
type askedFor struct {
	storedLayers
	names map[digest.Digest]bool
}

func (a askedFor) Open(layer LeftOut) (io.ReadCloser, error) {
	a.names[layer.Digest] = true
	return a.storedLayers.Open(layer)
}

// TestListOfAnIndex: the list has all layers of all images, each once, and an archive is read in its order.
func TestListOfAnIndex(t *testing.T) {
	index, images, _ := severalPlatforms(t)
	packed := composeBundle(t, index)
	listed, err := ReadList(bytes.NewReader(packed))
	want := slices.Concat(images["amd64"].Layers, images["arm64"].Layers[1:])
	for n := range want {
		want[n].MediaType = "application/vnd.oci.image.layer.v1.tar"
	}
	if err != nil || !slices.Equal(listed, want) {
		t.Errorf("got %v, %v, want %v", listed, err, want)
	}
	contents, names, err := unpack(packed)
	if err != nil || names[0] != listName || contents["manifest.json"] != "" || contents["index.json"] == "" || contents["oci-layout"] == "" {
		t.Errorf("entries %v, %v", names, err)
	}
	for _, one := range append(index.Manifests, index) {
		if contents[blobPath(string(one.Descriptor.Digest))] != "0  "+string(one.Manifest) {
			t.Errorf("manifest %s is not there", one.Descriptor.Digest)
		}
	}
}

// TestBundleOfAnArtifact: it is stored as an image is, and what is left out of it is found by who collects layers.
func TestBundleOfAnArtifact(t *testing.T) {
	b := chart(t)
	packed := composeBundle(t, b)
	listed, err := ReadList(bytes.NewReader(packed))
	file := b.Blobs[1].Descriptor
	if want := []StoredLayer{{Digest: file.Digest, Size: file.Size, MediaType: file.MediaType, Image: "chart-1"}}; err != nil || !slices.Equal(listed, want) {
		t.Errorf("got %v, %v, want %v", listed, err, want)
	}
	if contents, _, err := unpack(packed); err != nil || contents["manifest.json"] != "" || strings.Contains(contents[listName], "diffID") {
		t.Errorf("got %v, %v", contents, err)
	}
	_, err = Load(io.Discard, bytes.NewReader(packed), withLayers(failingLayers{t}))
	wantRefusal(t, err, `it is no image but a Helm chart ("application/vnd.cncf.helm.config.v1+json")`)
	_, err = Load(io.Discard, bytes.NewReader(composeBundle(t, indexOf(t, attestation(t)))), withLayers(failingLayers{t}))
	wantRefusal(t, err, "its index has 0 images for linux/amd64")
}

// TestImages: those that could boot, and what is known of them.
func TestImages(t *testing.T) {
	index, images, _ := severalPlatforms(t)
	found, err := index.Images()
	if err != nil || len(found) != 2 {
		t.Fatalf("got %v, %v", found, err)
	}
	for n, architecture := range []string{"amd64", "arm64"} {
		one, want := found[n], images[architecture]
		if one.ID != string(digest.FromBytes(want.Config)) || one.Platform.String() != "linux/"+architecture || one.Unpacked != 0 || len(one.Layers) != 3 ||
			one.Layers[1].DiffID != want.Layers[1].DiffID || one.Layers[1].Image != "image-2" || one.Descriptor.Digest != digest.FromBytes(want.Manifest) {
			t.Errorf("got %+v, want %+v", one, want)
		}
	}
	inspected := index.Manifests[0]
	for n := range inspected.Blobs[1:] {
		inspected.Blobs[n+1].DiffID, inspected.Blobs[n+1].Unpacked = images["amd64"].Layers[n].DiffID, 100
	}
	if found, err := inspected.Images(); err != nil || len(found) != 1 || found[0].Unpacked != 300 {
		t.Errorf("inspected: got %v, %v", found, err)
	}
}

// TestNoImages: what could not boot is stored all the same, and is no image.
func TestNoImages(t *testing.T) {
	whole, _ := composedOf(t, files(t, "one"), files(t, "two"))
	changed := func(change func(*Bundle)) Bundle {
		b := bundleOf(t, whole.without(1))
		change(&b)
		return artifactOf(t, b.Blobs...)
	}
	for name, b := range map[string]Bundle{
		"a chart":                   chart(t),
		"an attestation":            attestation(t),
		"an empty index":            indexOf(t),
		"a layer less":              changed(func(b *Bundle) { b.Blobs = b.Blobs[:2] }),
		"another layer":             changed(func(b *Bundle) { b.Blobs[1].DiffID = digest.FromString("other") }),
		"a configuration in Glance": changed(func(b *Bundle) { b.Blobs[0] = b.Blobs[0].leftOutAs("config-1") }),
		"no configuration":          changed(func(b *Bundle) { b.Blobs[0] = blobOf(ocispec.MediaTypeImageConfig, "none") }),
		"another configuration": changed(func(b *Bundle) {
			b.Blobs[0] = blobOf(ocispec.MediaTypeImageConfig, configOf(files(t, "one"), files(t, "two"), files(t, "three")))
		}),
		"diff ids by SHA-512": changed(func(b *Bundle) {
			other := string(digest.SHA512.FromString("one"))
			b.Blobs[0] = blobOf(ocispec.MediaTypeImageConfig, `{"rootfs":{"diff_ids":["`+other+`","`+other+`"]}}`)
		}),
		"a foreign layer": changed(func(b *Bundle) {
			b.Blobs[1].Image, b.Blobs[1].Descriptor.URLs = "", []string{"https://example.com/layer"}
		}),
	} {
		if images, err := b.Images(); err != nil || len(images) > 0 {
			t.Errorf("%s: %v, %v", name, images, err)
			continue
		}
		packed := composeBundle(t, b)
		if _, err := ReadList(bytes.NewReader(packed)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if contents, _, err := unpack(packed); err != nil || contents["manifest.json"] != "" || contents[listName] == "" {
			t.Errorf("%s: %v, %v", name, contents, err)
		}
	}
}

// TestTwoDiffIDsOfALayer: two images say different things of the same bytes. The first is believed; who reads the layer verifies it.
func TestTwoDiffIDsOfALayer(t *testing.T) {
	one, two := files(t, "one"), files(t, "two")
	right, stored := composedFor(t, "amd64", [][]byte{one}, [][]byte{one})
	wrong, _ := composedFor(t, "arm64", [][]byte{two}, [][]byte{one})
	b := indexOf(t, bundleOf(t, right.without(1)).on("linux", "amd64"), bundleOf(t, wrong.without(1)).on("linux", "arm64"))
	if images, err := b.Images(); err != nil || len(images) != 1 || images[0].Platform.Architecture != "amd64" {
		t.Fatalf("got %v, %v", images, err)
	}
	o := withLayers(stored)
	if _, err := Load(io.Discard, bytes.NewReader(composeBundle(t, b)), o); err != nil {
		t.Error(err)
	}
	o.Platform.Architecture = "arm64"
	_, err := Load(io.Discard, bytes.NewReader(composeBundle(t, b)), o)
	wantRefusal(t, err, "its layer 1 is sha256:")
}

// TestComposeBundleRefuses: what would not be read again is not written, nor what is not all there.
func TestComposeBundleRefuses(t *testing.T) {
	image, _ := composedOf(t, files(t, "one"), files(t, "two"))
	other, _ := composedOf(t, files(t, "three"))
	whole := func() Bundle { return bundleOf(t, image.without(1)) }
	changed := func(change func(*Bundle)) Bundle {
		b := whole()
		change(&b)
		return b
	}
	inIndex := func(change func(*Bundle)) Bundle {
		b := indexOf(t, whole(), chart(t))
		change(&b)
		return b
	}
	manifestOf := func(mediaType, text string) Bundle {
		return Bundle{Descriptor: described(mediaType, []byte(text)), Manifest: []byte(text)}
	}
	deep := whole()
	for range 4 {
		deep = indexOf(t, deep)
	}
	many := make([]Bundle, 0, 3000)
	for n := range cap(many) {
		many = append(many, artifactOf(t, blobOf("application/x", fmt.Sprint(n)), blobOf("application/x", "x"), blobOf("application/x", "y")))
	}
	var blobs []BundleBlob
	for n := range 4097 {
		blobs = append(blobs, blobOf("application/x", fmt.Sprint(n)).leftOutAs("blob"))
	}
	for name, c := range map[string]struct {
		bundle Bundle
		says   string
	}{
		"another manifest":        {changed(func(b *Bundle) { b.Manifest = other.Manifest }), "its manifest sha256:"},
		"a damaged manifest":      {changed(func(b *Bundle) { b.Manifest = bytes.Replace(b.Manifest, []byte("oci"), []byte("OCI"), 1) }), "its manifest is damaged"},
		"no media type":           {changed(func(b *Bundle) { b.Descriptor.MediaType = "" }), "it has no media type"},
		"another media type":      {changed(func(b *Bundle) { b.Descriptor.MediaType = "application/x" }), "by its own media type"},
		"an index by its name":    {changed(func(b *Bundle) { b.Descriptor.MediaType = ocispec.MediaTypeImageIndex }), "by its own media type"},
		"a damaged configuration": {changed(func(b *Bundle) { b.Blobs[0].Content = bytes.ToUpper(b.Blobs[0].Content) }), "is damaged"},
		"a short configuration":   {changed(func(b *Bundle) { b.Blobs[0].Content = b.Blobs[0].Content[1:] }), "bytes, and should have"},
		"a layer less":            {changed(func(b *Bundle) { b.Blobs = b.Blobs[:2] }), "its manifest names 3 blobs, and there are 2"},
		"a layer that is nowhere": {changed(func(b *Bundle) { b.Blobs[1].Image = "" }), "bytes, and should have"},
		"a layer at two places":   {changed(func(b *Bundle) { b.Blobs[1].Content = []byte("x") }), "is left out, and there"},
		"another size":            {changed(func(b *Bundle) { b.Blobs[1].Descriptor.Size++ }), "its blob 2 is sha256:"},
		"layers in disorder":      {changed(func(b *Bundle) { slices.Reverse(b.Blobs[1:]) }), "its blob 2 is sha256:"},
		"manifests in a manifest": {changed(func(b *Bundle) { b.Manifests = []Bundle{chart(t)} }), "and 1 manifests"},
		"no size":                 {artifactOf(t, blobOf("application/x", "").leftOutAs("x")), "has 0 bytes"},
		"a large blob":            {artifactOf(t, blobOf("application/x", strings.Repeat("x", DescriptionLimit+1))), "too many to be in the archive"},
		"a manifest less":         {inIndex(func(b *Bundle) { b.Manifests = b.Manifests[:1] }), "its index names 2 manifests, and there are 1"},
		"manifests in disorder":   {inIndex(func(b *Bundle) { slices.Reverse(b.Manifests) }), "its manifest 1 is sha256:"},
		"a blob in an index":      {inIndex(func(b *Bundle) { b.Blobs = whole().Blobs }), "and 3 blobs"},
		"a blob less in an index": {inIndex(func(b *Bundle) { b.Manifests[0].Blobs = nil }), "its manifest names 3 blobs, and there are 0"},
		"an index that is both":   {manifestOf(ocispec.MediaTypeImageIndex, `{"manifests":[],"Layers":[]}`), "it is an index and a manifest at once"},
		"a manifest that is both": {manifestOf(ocispec.MediaTypeImageManifest, `{"manifests":[]}`), "it is an index and a manifest at once"},
		"a key twice":             {manifestOf(ocispec.MediaTypeImageManifest, `{"config":{},"Config":{}}`), `it has the key "Config" twice`},
		"no JSON":                 {manifestOf(ocispec.MediaTypeImageManifest, `x`), "it is no JSON"},
		"no digest":               {manifestOf(ocispec.MediaTypeImageManifest, `{}`), "its manifest names 1 blobs, and there are 0"},
		"indexes in indexes":      {deep, "its indexes are more than 3 deep"},
		"hundreds of manifests":   {indexOf(t, many...), "it has more than 8192 manifests and blobs"},
		"thousands of left out":   {artifactOf(t, blobs...), "it has 4097 layers and other blobs; at most 4096 are allowed"},
		"an index with no digests": {
			Bundle{Descriptor: described(ocispec.MediaTypeImageIndex, []byte(`{"manifests":[{}]}`)), Manifest: []byte(`{"manifests":[{}]}`), Manifests: []Bundle{{}}},
			"it has no media type",
		},
		"a manifest that has none": {
			Bundle{Descriptor: described(ocispec.MediaTypeImageManifest, []byte(`{}`)), Manifest: []byte(`{}`), Blobs: []BundleBlob{{}}},
			"its blob  has 0 bytes, and should have 0 and a SHA-256",
		},
		"no digest of a manifest":  {changed(func(b *Bundle) { b.Descriptor.Digest = "" }), "and a SHA-256"},
		"a manifest by a word":     {changed(func(b *Bundle) { b.Descriptor.Digest = "digest" }), "and a SHA-256"},
		"a configuration by SHA-1": {changed(func(b *Bundle) { b.Descriptor.Digest = "sha1:0123" }), "and a SHA-256"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			wantRefusal(t, ComposeBundle(&out, c.bundle), c.says)
			wantNoImage(t, out.Bytes())
		})
	}
}

// TestNamesInAnIndex: what an archive says of names moves no name that a host uses.
func TestNamesInAnIndex(t *testing.T) {
	image, _ := composedOf(t, files(t, "one"))
	b := bundleOf(t, image.without(1))
	b.Descriptor.Annotations = map[string]string{containerdName: "docker.io/library/web:1"}
	contents, _, err := unpack(composeBundle(t, b))
	if err != nil || strings.Contains(contents["index.json"]+contents["manifest.json"], "web") {
		t.Errorf("got %v, %v", contents, err)
	}
}

// FuzzBundle: whatever is pushed, what is written of it is read again, and who collects layers finds all that it leaves out.
func FuzzBundle(f *testing.F) {
	index, _, _ := severalPlatforms(f)
	for _, b := range append(index.Manifests, index, chart(f), Bundle{Manifest: []byte(`{"config":{"digest":"x"},"layers":[{}]}`)}) {
		for _, leaveOut := range []bool{true, false} {
			f.Add(b.Manifest, index.Manifests[0].Manifest, index.Manifests[0].Blobs[0].Content, leaveOut)
		}
	}
	f.Fuzz(func(t *testing.T, text, child, content []byte, leaveOut bool) {
		b := fuzzedBundle(text, child, content, leaveOut)
		_, noBundle := b.Images()
		var out bytes.Buffer
		if err := ComposeBundle(&out, b); err != nil {
			wantNoImage(t, out.Bytes())
			return
		}
		if noBundle != nil {
			t.Fatalf("written, and it is none: %v", noBundle)
		}
		listed, err := ReadList(bytes.NewReader(out.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		for _, blob := range b.Blobs {
			is := func(layer StoredLayer) bool {
				return layer.Digest == blob.Descriptor.Digest && layer.Image == blob.Image
			}
			if blob.Image != "" && !slices.ContainsFunc(listed, is) {
				t.Fatalf("%+v is left out, and not in %v", blob, listed)
			}
		}
		sections, err := ReadSections(bytes.NewReader(out.Bytes()))
		if err != nil || !slices.ContainsFunc(sections, func(one Section) bool { return bytes.Equal(one.at(out.Bytes()), text) }) {
			t.Fatalf("the manifest is not in %v, %v", sections, err)
		}
	})
}

// fuzzedBundle is a bundle of these texts, with all that the first names. What can be is left out.
func fuzzedBundle(text, child, content []byte, leaveOut bool) Bundle {
	blob := func(descriptor ocispec.Descriptor) BundleBlob {
		if leaveOut && digest.FromBytes(content) != descriptor.Digest {
			return BundleBlob{Descriptor: descriptor, Image: "image"}
		}
		return BundleBlob{Descriptor: descriptor, Content: content}
	}
	bundle := func(mediaType string, text []byte) Bundle {
		b := Bundle{Descriptor: described(mediaType, text), Manifest: text}
		manifest, _ := ParseManifest(text)
		for _, descriptor := range append([]ocispec.Descriptor{manifest.Config}, manifest.Layers...) {
			b.Blobs = append(b.Blobs, blob(descriptor))
		}
		return b
	}
	index, err := ParseIndex(text)
	if err != nil || len(index.Manifests) == 0 {
		return bundle(ocispec.MediaTypeImageManifest, text)
	}
	b := Bundle{Descriptor: described(ocispec.MediaTypeImageIndex, text), Manifest: text}
	for _, descriptor := range index.Manifests {
		one := bundle(descriptor.MediaType, child)
		one.Descriptor = descriptor
		b.Manifests = append(b.Manifests, one)
	}
	return b
}
