package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// storedLayers is a LayerSource that has layers by their digests.
type storedLayers map[digest.Digest][]byte

func (s storedLayers) Has(LeftOut) (LayerSize, bool) { return LayerSize{}, false }

func (s storedLayers) Open(layer LeftOut) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(s[layer.Digest])), nil
}

// hadLayers has the lowest layers itself, so many of them, and records what it is asked for.
type hadLayers struct {
	storedLayers
	lowest int
	chains *[]string
}

func (h hadLayers) Has(layer LeftOut) (LayerSize, bool) {
	*h.chains = append(*h.chains, layer.ChainID)
	return LayerSize{Unpacked: 5, Stored: 2048, Files: 1}, layer.Number <= h.lowest
}

// composedOf is an image of these layers, with what is stored of it. The first is stored plain, the second packed, and so on.
func composedOf(t testing.TB, plain ...[]byte) (Composed, storedLayers) {
	t.Helper()
	packed := slices.Clone(plain)
	for n := 1; n < len(plain); n += 2 {
		packed[n] = zip(t, plain[n])
	}
	return composedFor(t, "amd64", plain, packed)
}

// composedFor is an image for an architecture, with what is stored of its layers.
func composedFor(t testing.TB, architecture string, plain, packed [][]byte) (Composed, storedLayers) {
	t.Helper()
	image, stored := Composed{Config: []byte(strings.Replace(configOf(plain...), "amd64", architecture, 1))}, storedLayers{}
	var described []map[string]any
	for n, layer := range packed {
		name := digest.FromBytes(layer)
		stored[name] = layer
		image.Layers = append(image.Layers, StoredLayer{Digest: name, DiffID: digest.FromBytes(plain[n]), Size: int64(len(layer))})
		described = append(described, map[string]any{"digest": name, "size": len(layer), "mediaType": "application/vnd.oci.image.layer.v1.tar"})
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": map[string]any{"digest": digest.FromBytes(image.Config), "size": len(image.Config), "mediaType": "application/vnd.oci.image.config.v1+json"}, "layers": described,
	})
	if err != nil {
		t.Fatal(err)
	}
	image.Manifest = manifest
	image.Open = func(layer StoredLayer) (io.ReadCloser, error) { return stored.Open(LeftOut{StoredLayer: layer}) }
	return image, stored
}

// without leaves out the layers with these numbers; 1 is the lowest.
func (c Composed) without(numbers ...int) Composed {
	c.Layers = slices.Clone(c.Layers)
	for _, n := range numbers {
		c.Layers[n-1].Image = fmt.Sprintf("image-%d", n)
	}
	return c
}

func compose(t testing.TB, image Composed) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Compose(&b, image); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// files returns a layer with one file.
func files(t testing.TB, name string) []byte {
	return layerOf(t, entry{name: name, content: strings.Repeat(name, 400)})
}

func withLayers(from LayerSource) Options {
	o := checks()
	o.Layers = from
	return o
}

// TestLeftOutLayers: whatever an archive leaves out, an image is the same, and a copy of it is whole.
func TestLeftOutLayers(t *testing.T) {
	image, stored := composedOf(t, files(t, "one"), files(t, "two"), files(t, "three"))
	whole := compose(t, image)
	want, err := Read(bytes.NewReader(whole), nothing{}, checks())
	if err != nil {
		t.Fatal(err)
	}
	for _, numbers := range [][]int{{1}, {2}, {3}, {1, 3}, {1, 2, 3}} {
		packed := compose(t, image.without(numbers...))
		if len(packed) >= len(whole) {
			t.Errorf("without %v: %d bytes, and whole %d", numbers, len(packed), len(whole))
		}
		var loaded, copied bytes.Buffer
		found, err := Load(&loaded, bytes.NewReader(packed), withLayers(stored))
		if err != nil || fmt.Sprint(found) != fmt.Sprint(want) {
			t.Errorf("without %v: found\n%v, %v, want\n%v", numbers, found, err, want)
		}
		if engine, err := dockerReads(loaded.Bytes()); err != nil || engine.complete() != nil {
			t.Errorf("without %v: an engine gets %v, %v", numbers, err, engine.complete())
		}
		if _, err := Copy(&copied, bytes.NewReader(packed), []string{"web:1"}, withLayers(stored)); err != nil {
			t.Fatal(err)
		}
		again, err := Read(&copied, nothing{}, checks())
		if err != nil || again.ID != want.ID || string(again.Manifest) != string(want.Manifest) {
			t.Errorf("without %v: a copy is %v, %v", numbers, again, err)
		}
	}
}

// TestLayersThatAreThere: an engine is sent no layer that it has, and its disk needs no room for one.
func TestLayersThatAreThere(t *testing.T) {
	one, two, three := files(t, "one"), files(t, "two"), files(t, "three")
	image, stored := composedOf(t, one, two, three)
	var chains []string
	var loaded bytes.Buffer
	found, err := Load(&loaded, bytes.NewReader(compose(t, image.without(1, 2))), withLayers(hadLayers{stored, 1, &chains}))
	if err != nil {
		t.Fatal(err)
	}
	ids := []digest.Digest{digest.FromBytes(one), digest.FromBytes(two)}
	if want := []string{string(ids[0]), string(identity.ChainID(ids))}; !slices.Equal(chains, want) {
		t.Errorf("asked for %v, want %v", chains, want)
	}
	engine, err := dockerReads(loaded.Bytes())
	if err != nil || len(engine.layers) != 3 || engine.layers[0] != nil || !bytes.Equal(engine.layers[1], stored[image.Layers[1].Digest]) || !bytes.Equal(engine.layers[2], three) {
		t.Errorf("an engine gets %v: %.60q", err, engine.layers)
	}
	if want := int64(len(two) + len(three) + 2*BlockSize); found.Disk != want || found.Files != 2 || found.Unpacked != 5+3*400+5*400 {
		t.Errorf("got %d bytes on disk, want %d; %d files; unpacked %d", found.Disk, want, found.Files, found.Unpacked)
	}
}

// TestDescribeWithLayersLeftOut: who reads no layers needs none.
func TestDescribeWithLayersLeftOut(t *testing.T) {
	image, _ := composedOf(t, files(t, "one"), files(t, "two"))
	found, err := Describe(bytes.NewReader(compose(t, image.without(1))), Options{Platform: platform})
	if err != nil || found.ID != string(digest.FromBytes(image.Config)) || len(found.Layers) != 2 || found.Layers[0].Size != image.Layers[0].Size {
		t.Errorf("found %v, %v", found, err)
	}
}

// TestHostileLists: what an archive says of a layer that it leaves out is not believed.
func TestHostileLists(t *testing.T) {
	one, two := files(t, "one"), files(t, "two")
	image, stored := composedOf(t, one, two)
	packed := compose(t, image.without(1))
	digestOf, sizeOf := string(image.Layers[0].Digest), fmt.Sprint(image.Layers[0].Size)
	damaged := storedLayers{image.Layers[0].Digest: bytes.Replace(one, []byte("oneone"), []byte("onetwo"), 1)}
	short := storedLayers{image.Layers[0].Digest: one[:1024]}
	const missing = "its layer 1, \"blobs/sha256/"
	for name, c := range map[string]struct {
		old, new string // in the list
		from     LayerSource
		says     string
	}{
		"no source":              {from: nil, says: "it leaves out its layer 1, " + digestOf[:19] + ", which is in Glance: 'ndock image pull-glance' writes a whole archive"},
		"other bytes":            {from: damaged, says: "its layer 1 is damaged where it is stored: it should be " + digestOf[:19]},
		"too few bytes":          {from: short, says: "its layer 1 is damaged where it is stored"},
		"nothing":                {from: storedLayers{}, says: "its layer 1 is damaged where it is stored"},
		"a smaller size":         {sizeOf, fmt.Sprint(image.Layers[0].Size - 512), stored, "its layer 1 is damaged where it is stored"},
		"no size":                {`"size":` + sizeOf, `"size":0`, stored, "its layers.json: its layer 1 has 0 bytes"},
		"a negative size":        {`"size":` + sizeOf, `"size":-1`, stored, "its layers.json: its layer 1 has -1 bytes"},
		"a huge size":            {`"size":` + sizeOf, `"size":9000000000000000000`, stored, "it unpacks to more than 1073741824 bytes"},
		"a size that is none":    {`"size":` + sizeOf, `"size":"1"`, stored, `its layers.json: its field layers.size has a string where a whole number should be`},
		"another diff id":        {`"diffID":"` + digestOf, `"diffID":"` + sumOf(two), stored, "its layer 1 is " + sumOf(two)[:19] + " in its layers.json, and " + digestOf[:19] + " in its configuration"},
		"a long diff id":         {`"diffID":"` + digestOf, `"diffID":"` + strings.Repeat("x", 257), stored, "its layers.json: its layer 1 says of itself"},
		"a long image id":        {`"image":"`, `"image":"` + strings.Repeat("x", 1<<20), stored, "which has 1048583 bytes, and may have 256"},
		"a layer's other digest": {`"digest":"` + digestOf, `"digest":"` + sumOf(two), stored, missing},
		"no digest":              {`"digest":"` + digestOf, `"digest":"../../etc/passwd`, stored, `its layers.json: its layer 1 has 3072 bytes and the digest "../../etc/passwd"`},
		"another hash":           {`"digest":"` + digestOf, `"digest":"` + string(digest.SHA512.FromBytes(one)), stored, "its layers.json: its layer 1 has"},
		"another version":        {`"version":1`, `"version":2`, stored, "its layers.json has the version 2, and this ndock reads version 1: a newer one reads it"},
		"a key twice":            {`"version":1`, `"version":1,"Version":1`, stored, `its layers.json: it has the key "Version" twice`},
		"no JSON":                {`{"version":1`, `{version:1`, stored, "its layers.json: it is no JSON"},
		"no layers":              {`"layers":[`, `"others":[`, stored, missing},
		"many layers":            {`"layers":[`, `"layers":[` + strings.Repeat(`{},`, 4096), stored, "its layers.json: it has 4098 layers; at most 4096 are allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			hostile := rewritten(t, packed, listName, c.old, c.new)
			var out bytes.Buffer
			_, err := Load(&out, bytes.NewReader(hostile), withLayers(c.from))
			wantRefusal(t, err, c.says)
			wantNoImage(t, out.Bytes())
		})
	}
}

// rewritten replaces a text in an entry of an archive.
func rewritten(t *testing.T, packed []byte, name, old, new string) []byte {
	t.Helper()
	contents, names, err := unpack(packed)
	if err != nil {
		t.Fatal(err)
	}
	var entries []entry
	for _, one := range names {
		content := strings.TrimPrefix(contents[one], "0  ")
		if one == name {
			if !strings.Contains(content, old) {
				t.Fatalf("%s has no %q: %s", name, old, content)
			}
			content = strings.Replace(content, old, new, 1)
		}
		entries = append(entries, entry{name: one, content: content})
	}
	return pack(t, entries...)
}

// TestLayersOfOthers: bytes that are stored by this digest, and are another layer than the configuration names, complete no image.
func TestLayersOfOthers(t *testing.T) {
	one, two := files(t, "one"), files(t, "two")
	image, stored := composedOf(t, one, two)
	packed := zip(t, one)
	name := digest.FromBytes(packed)
	hostile := rewritten(t, compose(t, image.without(1)), listName, string(image.Layers[0].Digest), string(name))
	hostile = rewritten(t, hostile, "manifest.json", blobPath(string(image.Layers[0].Digest)), blobPath(string(name)))
	hostile = rewritten(t, hostile, listName, fmt.Sprintf(`"size":%d`, len(one)), fmt.Sprintf(`"size":%d`, len(packed)))
	stored[name] = packed
	if _, err := Load(io.Discard, bytes.NewReader(hostile), withLayers(stored)); err != nil {
		t.Fatalf("the same layer, packed: %v", err) // so that what is refused below is refused for its content
	}
	other := zip(t, two)
	stored[digest.FromBytes(other)] = other
	hostile = rewritten(t, hostile, listName, string(name), string(digest.FromBytes(other)))
	hostile = rewritten(t, hostile, "manifest.json", blobPath(string(name)), blobPath(string(digest.FromBytes(other))))
	var out bytes.Buffer
	_, err := Load(&out, bytes.NewReader(hostile), withLayers(stored))
	wantRefusal(t, err, "its layer 1 is")
	wantNoImage(t, out.Bytes())
}

// TestLayersThatNobodyNeeds: a list makes nobody fetch what the image does not have, or has in the archive.
func TestLayersThatNobodyNeeds(t *testing.T) {
	image, _ := composedOf(t, files(t, "one"))
	packed := compose(t, image)
	packed = rewritten(t, packed, listName, `"layers":[`, `"layers":[{"digest":"`+sumOf([]byte("x"))+`","size":1,"image":"other"},`)
	if _, err := Load(io.Discard, bytes.NewReader(packed), withLayers(failingLayers{t})); err != nil {
		t.Error(err)
	}
}

// failingLayers is asked for nothing.
type failingLayers struct{ t *testing.T }

func (f failingLayers) Has(layer LeftOut) (LayerSize, bool) {
	f.t.Errorf("asked for layer %v", layer)
	return LayerSize{}, false
}

func (failingLayers) Open(LeftOut) (io.ReadCloser, error) { return nil, errors.ErrUnsupported }

// awayLayers cannot be reached; after some bytes, or at once.
type awayLayers struct {
	storedLayers
	after int64
	err   error
}

func (a awayLayers) Open(layer LeftOut) (io.ReadCloser, error) {
	if a.after == 0 {
		return nil, a.err
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(a.storedLayers[layer.Digest][:a.after]), failingReader{a.err})), nil
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// TestLayersThatAreAway: that Glance does not answer is no fault of the image.
func TestLayersThatAreAway(t *testing.T) {
	image, stored := composedOf(t, files(t, "one"), files(t, "two"))
	packed := compose(t, image.without(2))
	for _, after := range []int64{0, 1, 100} {
		for _, away := range []error{errors.New("no route to host"), io.ErrUnexpectedEOF} {
			var out bytes.Buffer
			_, err := Load(&out, bytes.NewReader(packed), withLayers(awayLayers{stored, after, away}))
			var invalid *Error
			if !errors.Is(err, away) || errors.As(err, &invalid) {
				t.Errorf("after %d bytes: %v, want %v", after, err, away)
			}
			wantNoImage(t, out.Bytes())
		}
	}
}

// TestComposeRefuses: what would not be read again is not written.
func TestComposeRefuses(t *testing.T) {
	image, stored := composedOf(t, files(t, "one"), files(t, "two"))
	more, _ := composedOf(t, files(t, "one"), files(t, "two"), files(t, "three"))
	for name, c := range map[string]struct {
		change func(*Composed)
		says   string
	}{
		"another configuration": {func(c *Composed) { c.Config = more.Config }, "its configuration is damaged"},
		"fewer layers":          {func(c *Composed) { c.Layers = c.Layers[:1] }, "its manifest has 2 layers, its configuration 2, and there are 1"},
		"an index":              {func(c *Composed) { c.Manifest = []byte(`{"schemaVersion":2,"manifests":[]}`) }, "its configuration is damaged"},
		"a chart": {func(c *Composed) {
			c.Manifest = []byte(`{"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json"}}`)
		}, "it is no image but a Helm chart"},
		"no size":            {func(c *Composed) { c.Layers[1].Size = 0 }, "its layer 2 has 0 bytes"},
		"a long media type":  {func(c *Composed) { c.Layers[1].MediaType = strings.Repeat("x", 257) }, "which has 257 bytes, and may have 256"},
		"another size":       {func(c *Composed) { c.Layers[1].Size++ }, "its layer 2 is sha256:"},
		"another diff id":    {func(c *Composed) { c.Layers[1].DiffID = c.Layers[0].DiffID }, "its layer 2 is sha256:"},
		"layers in disorder": {func(c *Composed) { slices.Reverse(c.Layers) }, "its layer 1 is sha256:"},
		"other bytes":        {func(c *Composed) { stored[c.Layers[0].Digest] = []byte("other") }, "its layer 1 is damaged where it is stored"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := image.without()
			c.change(&changed)
			var out bytes.Buffer
			wantRefusal(t, Compose(&out, changed), c.says)
			wantNoImage(t, out.Bytes())
		})
	}
}

// TestComposeKeepsTheManifest: users pin and sign the digest of the bytes that they pushed. A layer that occurs twice is there once.
func TestComposeKeepsTheManifest(t *testing.T) {
	image, _ := composedOf(t, files(t, "one"), files(t, "two"), files(t, "one"))
	contents, names, err := unpack(compose(t, image.without(2)))
	if err != nil {
		t.Fatal(err)
	}
	blob := func(content []byte) string {
		return path.Join("blobs/sha256", strings.TrimPrefix(sumOf(content), "sha256:"))
	}
	want := []string{listName, blob(image.Manifest), "index.json", "oci-layout", blobPath(string(image.Layers[0].Digest)), blob(image.Config), "manifest.json"}
	if !slices.Equal(names, want) || contents[want[1]] != "0  "+string(image.Manifest) {
		t.Errorf("got %v, want %v", names, want)
	}
}

// FuzzLeftOut: whatever an archive says of a layer that it leaves out, an engine gets all layers that the configuration names, or
// no image.
func FuzzLeftOut(f *testing.F) {
	one, two := files(f, "one"), files(f, "two")
	image, stored := composedOf(f, one, two)
	for _, numbers := range [][]int{{}, {1}, {2}, {1, 2}} {
		packed := compose(f, image.without(numbers...))
		f.Add(packed, one)
		f.Add(packed, stored[image.Layers[1].Digest])
		f.Add(packed[:len(packed)/2], two)
	}
	f.Fuzz(func(t *testing.T, packed, layer []byte) {
		o := Options{Platform: platform, Limits: &Limits{Unpacked: 10 << 20}, Layers: anyLayer(layer)}
		var out bytes.Buffer
		found, err := Load(&out, bytes.NewReader(packed), o)
		engine, noImage := dockerReads(out.Bytes())
		switch {
		case err != nil && noImage == nil:
			t.Fatalf("refused (%v), and what is written is an image: %+v", err, engine)
		case err != nil:
			return
		case noImage != nil || sumOf(engine.config) != found.ID:
			t.Fatalf("accepted, and what is written is none: %v", noImage)
		}
		if err := engine.complete(); err != nil {
			t.Fatalf("accepted, and a layer is not there: %v", err)
		}
	})
}

// anyLayer answers with the same bytes whatever is asked for.
type anyLayer []byte

func (anyLayer) Has(LeftOut) (LayerSize, bool) { return LayerSize{}, false }

func (a anyLayer) Open(LeftOut) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(a)), nil }

// TestOneImageInBothDescriptions: what a registry shows of an archive by its index.json is what a server boots by its
// manifest.json.
func TestOneImageInBothDescriptions(t *testing.T) {
	one, _ := composedOf(t, files(t, "one"))
	two, _ := composedOf(t, files(t, "two"))
	contents, names := unpacked(t, compose(t, one))
	others, otherNames := unpacked(t, compose(t, two))
	with := func(list bool, index string) []byte {
		var entries []entry
		for _, name := range names {
			content := contents[name]
			if name == "index.json" {
				content = index
			}
			if list || name != listName {
				entries = append(entries, entry{name: name, content: content})
			}
		}
		for _, name := range otherNames {
			if contents[name] == "" {
				entries = append(entries, entry{name: name, content: others[name]})
			}
		}
		return pack(t, entries...)
	}
	both := strings.Replace(contents["index.json"], "]", ","+strings.SplitN(others["index.json"], "[", 2)[1], 1)
	for name, c := range map[string]struct {
		packed  []byte
		refused bool
	}{
		"the same":                  {with(true, contents["index.json"]), false},
		"another":                   {with(true, others["index.json"]), true},
		"several":                   {with(true, both), true},
		"none":                      {with(true, `{"manifests":[]}`), true},
		"no JSON":                   {with(true, `[`), true},
		"one that is not there":     {with(true, naming(ocispec.MediaTypeImageManifest, sumOf([]byte("x")))), true},
		"the same, without a list":  {with(false, contents["index.json"]), false},
		"another, without a list":   {with(false, others["index.json"]), true},
		"several, without a list":   {with(false, both), false},
		"not there, without a list": {with(false, naming(ocispec.MediaTypeImageManifest, sumOf([]byte("x")))), false},
	} {
		var out bytes.Buffer
		found, err := Load(&out, bytes.NewReader(c.packed), checks())
		if c.refused {
			wantRefusal(t, err, "its index.json is about another image than its manifest.json")
			wantNoImage(t, out.Bytes())
		} else if err != nil || found.ID != sumOf(one.Config) {
			t.Errorf("%s: got %s, %v", name, found.ID, err)
		}
	}
}

// unpacked returns the files of an archive, and their names in order.
func unpacked(t *testing.T, packed []byte) (contents map[string]string, names []string) {
	t.Helper()
	contents, names, err := unpack(packed)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range contents {
		contents[name] = strings.TrimPrefix(content, "0  ")
	}
	return contents, names
}
