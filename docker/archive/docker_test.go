package archive

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"encoding/base64"
	"io"
	"strings"
	"testing"
)

// Layers that were packed with xz and bzip2.
const (
	xzLayer    = "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4Cf/AF9dADQZSe6N8LrI/5v/8gxprx6wXPyJHfijME32zoFptK8HYyXyy3gUx441tl0IKOFMaXCWRA0FTXTrBTc2SQlEk9Elr9hEMlCe17ALs9kWxX3rFAYYRyi0UDb9gh6D8k4AAABSiRCX9CYsRAABe4BQAAAA75Zb2LHEZ/sCAAAAAARZWg=="
	bzip2Layer = "QlpoOTFBWSZTWQT0eCgAAG/7gMmQAARAAWOAAIBiRJ5ACAggAFQ0SbUyZMEMGoJJCNGTQBkaXtIchBGCEIfWkTWWGKBDBVw1H7MiDCLMIMd1ahohilwvmBkDO1Xax7IiA/F3JFOFCQBPR4KA"
)

// unbase64 decodes what is written in a test.
func unbase64(t testing.TB, text string) []byte {
	t.Helper()
	content, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestLayersThatAreUnpacked: a copy has layers in xz and bzip2 unpacked, because not every engine reads them. A node, which
// would need a file for that, says what to do.
func TestLayersThatAreUnpacked(t *testing.T) {
	t.Parallel()
	layer, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(unbase64(t, bzip2Layer))))
	if err != nil {
		t.Fatal(err)
	}
	for method, packed := range map[string][]byte{"xz": unbase64(t, xzLayer), "bzip2": unbase64(t, bzip2Layer)} {
		var out bytes.Buffer
		found, err := Copy(&out, bytes.NewReader(saved(t, layer, packed)), nil, checks())
		if err != nil || found.ID != sumOf([]byte(configOf(layer))) || found.Layers[0].Compression != method {
			t.Fatalf("%s: got %+v, %v", method, found, err)
		}
		if files, _, err := unpack(out.Bytes()); err != nil || files["layer.tar"] != "0  "+string(layer) {
			t.Errorf("%s: the copy's layer is %.40q, %v", method, files["layer.tar"], err)
		}
		out.Reset()
		wantRefusal(t, load(&out, bytes.NewReader(saved(t, layer, packed))), "its layer 1 is packed with "+method+"; a node takes layers that are plain or packed with gzip or zstd, and 'ndock image push-glance' unpacks")
		wantNoImage(t, out.Bytes())
		_, err = Copy(io.Discard, bytes.NewReader(saved(t, layer, append(packed[:20:20], layer...))), nil, checks())
		wantRefusal(t, err, "a layer of it is damaged")
	}
}

// TestAsDockerLoads: what Docker takes is taken, and what an engine is given then has each layer once.
func TestAsDockerLoads(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	with := func(layers string, entries ...entry) []entry {
		return append(entries, entry{name: "config.json", content: configOf(layer, layer)}, entry{name: "manifest.json", content: `[{"Config":"config.json","RepoTags":null,"Layers":` + layers + `}]`})
	}
	a := entry{name: "a/layer.tar", content: string(layer)}
	for name, entries := range map[string][]entry{
		"a hard link":             with(`["a/layer.tar","b/layer.tar"]`, a, entry{name: "b/layer.tar", kind: tar.TypeLink, link: "a/layer.tar"}),
		"a hard link from ./":     with(`["a/layer.tar","b/layer.tar"]`, a, entry{name: "./b/layer.tar", kind: tar.TypeLink, link: "./a/layer.tar"}),
		"a link of another name":  with(`["b.tar","a/layer.tar"]`, a, entry{name: "b.tar", kind: tar.TypeSymlink, link: "a/layer.tar"}),
		"a link that comes first": with(`["b/layer.tar","a/layer.tar"]`, entry{name: "b/layer.tar", kind: tar.TypeSymlink, link: "../a/layer.tar"}, a),
	} {
		var out bytes.Buffer
		found, err := Load(&out, bytes.NewReader(pack(t, entries...)), checks())
		if err != nil || len(found.Layers) != 2 {
			t.Errorf("%s: got %+v, %v", name, found, err)
			continue
		}
		if _, names, err := unpack(out.Bytes()); err != nil || len(names) != 3 {
			t.Errorf("%s: entries %v, %v", name, names, err)
		}
	}
}

// TestEmptyLayer: Docker takes a file of no bytes for a layer without files.
func TestEmptyLayer(t *testing.T) {
	t.Parallel()
	packed := pack(t, entry{name: "empty/layer.tar"}, entry{name: "config.json", content: configOf(nil)},
		entry{name: "manifest.json", content: `[{"Config":"config.json","RepoTags":null,"Layers":["empty/layer.tar"]}]`})
	var out bytes.Buffer
	if found, err := Load(&out, bytes.NewReader(packed), checks()); err != nil || len(found.Layers) != 1 || found.Layers[0].DiffID != sumOf(nil) {
		t.Errorf("got %+v, %v", found, err)
	}
	if _, err := dockerReads(out.Bytes()); err != nil {
		t.Error(err)
	}
}

// TestGlobalHeader: git archive and others begin a tar with a comment, which means nothing for the files in it.
func TestGlobalHeader(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	comment := &tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "0123", "path": "manifest.json"}}
	for range 2 {
		if err := w.WriteHeader(comment); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	layer := tinyLayer()
	found, err := Load(io.Discard, io.MultiReader(&b, bytes.NewReader(saved(t, layer, layer))), checks())
	if err != nil || found.ID != sumOf([]byte(configOf(layer))) {
		t.Errorf("got %+v, %v", found, err)
	}
}

// TestNamesAsDockerHasThem: a name may be short or whole, in the archive and in what is asked for.
func TestNamesAsDockerHasThem(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	archiveOf := func(names string) []byte {
		return pack(t, entry{name: "layer.tar", content: string(layer)}, entry{name: "config.json", content: configOf(layer)},
			entry{name: "manifest.json", content: `[{"Config":"other.json","RepoTags":["other:1"],"Layers":[]},{"Config":"config.json","RepoTags":[` + names + `],"Layers":["layer.tar"]}]`})
	}
	for _, c := range []struct{ tags, choose, want string }{
		{`"docker.io/library/web:1"`, "web:1", ""},
		{`"web:1"`, "docker.io/library/web:1", ""},
		{`"web:1"`, "index.docker.io/library/web:1", ""},
		{`"web:latest"`, "docker.io/library/web", ""},
		{`"docker.io/site/web:latest"`, "site/web", ""},
		{`"localhost/web:1"`, "web:1", `it holds no image "web:1"`},
		{`"web:1"`, "example.com/library/web:1", "it holds no image"},
		{`"docker.io/library/other:1"`, "other:1", `it holds 2 images that are called "other:1"`},
	} {
		o := checks()
		o.Choose = c.choose
		_, err := Load(io.Discard, bytes.NewReader(archiveOf(c.tags)), o)
		if c.want != "" {
			wantRefusal(t, err, c.want)
		} else if err != nil {
			t.Errorf("%s in %s: %v", c.choose, c.tags, err)
		}
	}
	for _, c := range []struct {
		ref, whole, choose string
		called             bool
	}{
		{"v1", "", "v1", true},
		{"v1", "docker.io/library/web:v1", "web:v1", true},
		{"v1", "docker.io/library/web:v1", "v1", true},
		{"docker.io/library/web:v1", "", "web:v1", true},
		{"web:v1", "", "docker.io/library/web:v1", true},
		{"v1", "", "v1:latest", false},
		{"v1", "docker.io/library/web:v1", "web", false},
		{"", "", "web", false},
	} {
		if got := Called(map[string]string{"org.opencontainers.image.ref.name": c.ref, "io.containerd.image.name": c.whole}, c.choose); got != c.called {
			t.Errorf("%q of %q and %q: %v", c.choose, c.ref, c.whole, got)
		}
	}
	if strings.Contains(fullName("not A name"), ":") {
		t.Error("what is no name got a tag")
	}
}
