package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layoutOfIndexes is an OCI layout with this index.json, and these blobs.
func layoutOfIndexes(t testing.TB, top string, blobs map[string]string) []byte {
	entries := []entry{{name: "oci-layout", content: `{"imageLayoutVersion":"1.0.0"}`}, {name: "index.json", content: top}}
	for name, content := range blobs {
		entries = append(entries, entry{name: blobPath(name), content: content})
	}
	return pack(t, entries...)
}

// naming is an index that names one other.
func naming(mediaType, name string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":1}]}`, mediaType, name)
}

// TestHostileIndexes: whatever an archive says of its images, nothing is loaded that its digests do not name.
func TestHostileIndexes(t *testing.T) {
	index, images, stored := severalPlatforms(t)
	whole, amd64 := composeBundle(t, index), images["amd64"]
	base := amd64.Layers[0]
	self := sumOf([]byte("self"))
	deep, blobs := naming(ocispec.MediaTypeImageManifest, self), map[string]string{}
	for range 5 {
		name := sumOf([]byte(deep))
		blobs[name], deep = deep, naming(ocispec.MediaTypeImageIndex, name)
	}
	var many []string
	for n := range 5000 {
		many = append(many, fmt.Sprintf(`{"digest":%q,"platform":{"os":"linux","architecture":"amd64"}}`, sumOf(fmt.Append(nil, n))))
	}
	listed := func(change func(*StoredLayer)) []byte {
		changed := base
		changed.MediaType = "application/vnd.oci.image.layer.v1.tar"
		before, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		change(&changed)
		after, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		return rewritten(t, whole, listName, string(before), string(after))
	}
	config := string(digest.FromBytes(amd64.Config))
	for name, c := range map[string]struct {
		packed []byte
		says   string
	}{
		"an index that names itself":  {layoutOfIndexes(t, naming(ocispec.MediaTypeImageIndex, self), map[string]string{self: naming(ocispec.MediaTypeImageIndex, self)}), "its manifest is damaged"},
		"indexes in indexes":          {layoutOfIndexes(t, deep, blobs), "its indexes are more than 3 deep"},
		"thousands of images":         {layoutOfIndexes(t, `{"manifests":[`+strings.Join(many, ",")+`]}`, nil), "its index has 5000 images for linux/amd64, and one is wanted"},
		"hundreds of thousands":       {layoutOfIndexes(t, `{"manifests":[`+strings.Repeat(`{},`, 200_000)+`{}]}`, nil), "it has more than 100000 values"},
		"a manifest that is missing":  {without(t, whole, string(digest.FromBytes(amd64.Manifest))), "is missing"},
		"another manifest":            {rewritten(t, whole, blobPath(string(digest.FromBytes(amd64.Manifest))), "schemaVersion", "schemaversion"), "its manifest is damaged"},
		"an index that is missing":    {without(t, whole, string(index.Descriptor.Digest)), "is missing"},
		"no configuration":            {without(t, whole, config), "is missing"},
		"another configuration":       {rewritten(t, whole, blobPath(config), "linux", "LINUX"), "its configuration is damaged"},
		"an image as an index":        {rewritten(t, whole, "index.json", `[{"mediaType":"application/vnd.oci.image.index`, `[{"mediaType":"application/vnd.oci.image.manifest`), "is missing"},
		"a list without a layer":      {listed(func(l *StoredLayer) { l.Digest = digest.FromString("x") }), "is missing"},
		"a list with another diff id": {listed(func(l *StoredLayer) { l.DiffID = amd64.Layers[1].DiffID }), "in its layers.json, and"},
		"a list with another size":    {listed(func(l *StoredLayer) { l.Size-- }), "its layer 1 is damaged where it is stored"},
		"two diff ids of a layer": {
			rewritten(t, whole, listName, `"layers":[`, fmt.Sprintf(`"layers":[{"digest":%q,"diffID":%q,"size":%d},`, base.Digest, amd64.Layers[1].DiffID, base.Size)),
			"its layer 2 is listed before with another diff id or size",
		},
		"two sizes of a layer": {
			rewritten(t, whole, listName, `"layers":[`, fmt.Sprintf(`"layers":[{"digest":%q,"diffID":%q,"size":1},`, base.Digest, base.DiffID)),
			"its layer 2 is listed before with another diff id or size",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			_, err := Load(&out, bytes.NewReader(c.packed), withLayers(stored))
			wantRefusal(t, err, c.says)
			wantNoImage(t, out.Bytes())
		})
	}
}

// without leaves a blob out of an archive.
func without(t *testing.T, packed []byte, name string) []byte {
	t.Helper()
	contents, names, err := unpack(packed)
	if err != nil {
		t.Fatal(err)
	}
	var entries []entry
	for _, one := range names {
		if one != blobPath(name) {
			entries = append(entries, entry{name: one, content: strings.TrimPrefix(contents[one], "0  ")})
		}
	}
	if len(entries) != len(names)-1 {
		t.Fatalf("%s is not there", name)
	}
	return pack(t, entries...)
}

// TestListedWithoutDiffID: the configuration says what the list does not.
func TestListedWithoutDiffID(t *testing.T) {
	index, images, stored := severalPlatforms(t)
	base := images["amd64"].Layers[0]
	packed := rewritten(t, composeBundle(t, index), listName, fmt.Sprintf(`"diffID":%q,`, base.DiffID), "")
	if found, err := Load(io.Discard, bytes.NewReader(packed), withLayers(stored)); err != nil || found.Layers[0].DiffID != string(base.DiffID) {
		t.Errorf("got %+v, %v", found, err)
	}
}

// TestAttestationsAreNoImages: what an index says of them does not make them one, nor hide an image.
func TestAttestationsAreNoImages(t *testing.T) {
	image, _ := composedOf(t, files(t, "one"))
	whole := bundleOf(t, image)
	byPlatform, byAnnotation := attestation(t), attestation(t)
	byPlatform.Descriptor.Annotations, byAnnotation.Descriptor.Platform = nil, nil
	for name, c := range map[string]struct {
		index Bundle
		says  string
	}{
		"an image without a platform": {indexOf(t, whole, byPlatform, byAnnotation), ""},
		"an image":                    {indexOf(t, byAnnotation, whole.on("linux", "amd64"), byPlatform), ""},
		"an index in it":              {indexOf(t, indexOf(t, whole.on("linux", "amd64"), attestation(t)), byAnnotation), ""},
		"by its platform":             {indexOf(t, byPlatform), "its index has 0 images for linux/amd64, and one is wanted; it has images for none"},
		"by its annotation":           {indexOf(t, byAnnotation), "its index has 0 images for linux/amd64"},
		"one for another platform":    {indexOf(t, byAnnotation, whole.on("linux", "arm64")), "its index has 0 images for linux/amd64, and one is wanted; it has images for linux/arm64"},
	} {
		found, err := Load(io.Discard, bytes.NewReader(composeBundle(t, c.index)), checks())
		if c.says != "" {
			wantRefusal(t, err, c.says)
		} else if err != nil || found.ID != string(digest.FromBytes(image.Config)) {
			t.Errorf("%s: got %s, %v", name, found.ID, err)
		}
	}
}

// FuzzIndex: whatever an archive of an index is, an engine gets all layers that the configuration names, or no image; and no
// layer is read that the archive's list does not have.
func FuzzIndex(f *testing.F) {
	index, images, stored := severalPlatforms(f)
	layer := stored[images["amd64"].Layers[0].Digest]
	for _, packed := range [][]byte{composeBundle(f, index), composeBundle(f, indexOf(f, index, chart(f))), composeBundle(f, chart(f)), composeBundle(f, index.Manifests[0])} {
		f.Add(packed, layer)
		f.Add(packed[:len(packed)/2], layer)
	}
	f.Fuzz(func(t *testing.T, packed, layer []byte) {
		listed, unlisted := ReadList(bytes.NewReader(packed))
		names := map[digest.Digest]bool{}
		for _, one := range listed {
			names[one.Digest] = true
		}
		asked := askedLayers{anyLayer(layer), map[digest.Digest]bool{}}
		var out bytes.Buffer
		found, err := Load(&out, bytes.NewReader(packed), Options{Platform: platform, Limits: &Limits{Unpacked: 10 << 20}, Layers: asked})
		for name := range asked.names {
			if unlisted != nil || !names[name] {
				t.Fatalf("layer %s is read, and the list is %v, %v", name, listed, unlisted)
			}
		}
		engine, noImage := dockerReads(out.Bytes())
		if err != nil {
			if noImage == nil {
				t.Fatalf("refused (%v), and what is written is an image: %+v", err, engine)
			}
			return
		}
		if noImage != nil || sumOf(engine.config) != found.ID || engine.complete() != nil {
			t.Fatalf("accepted, and what is written is none: %v, %v", noImage, engine.complete())
		}
	})
}
