package archive

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"strings"
	"testing"
)

// Layers compressed with xz and bzip2.
const (
	xzLayer    = "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4Cf/AF9dADQZSe6N8LrI/5v/8gxprx6wXPyJHfijME32zoFptK8HYyXyy3gUx441tl0IKOFMaXCWRA0FTXTrBTc2SQlEk9Elr9hEMlCe17ALs9kWxX3rFAYYRyi0UDb9gh6D8k4AAABSiRCX9CYsRAABe4BQAAAA75Zb2LHEZ/sCAAAAAARZWg=="
	bzip2Layer = "QlpoOTFBWSZTWQT0eCgAAG/7gMmQAARAAWOAAIBiRJ5ACAggAFQ0SbUyZMEMGoJJCNGTQBkaXtIchBGCEIfWkTWWGKBDBVw1H7MiDCLMIMd1ahohilwvmBkDO1Xax7IiA/F3JFOFCQBPR4KA"
)

// unbase64 decodes a constant of a test.
func unbase64(t testing.TB, text string) []byte {
	t.Helper()
	content, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestXzAndBzip2AreDecompressed: a copy has layers in xz and bzip2 decompressed, because not every engine reads them.
// Load refuses them and says what to do, because it would need a temporary file.
func TestXzAndBzip2AreDecompressed(t *testing.T) {
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

// TestAsDockerLoads: what Docker accepts is accepted, and an engine receives each layer once.
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

// TestEmptyLayer: an empty file is a layer without files, as in Docker.
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

// TestGlobalHeader: a global header, as git archive writes it, is ignored.
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

// TestShortAndFullNames: a name may be short or full, in the archive and in the request.
func TestShortAndFullNames(t *testing.T) {
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
		o.Name = c.choose
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
		if got := HasName(map[string]string{"org.opencontainers.image.ref.name": c.ref, "io.containerd.image.name": c.whole}, c.choose); got != c.called {
			t.Errorf("%q of %q and %q: %v", c.choose, c.ref, c.whole, got)
		}
	}
	if strings.Contains(fullName("not A name"), ":") {
		t.Error("what is no name got a tag")
	}
}

// configured returns a Docker archive whose configuration has these settings, and more beside them.
func configured(t *testing.T, settings, more string) []byte {
	t.Helper()
	layer := tinyLayer()
	return pack(t, entry{name: "layer.tar", content: string(layer)},
		entry{name: "config.json", content: `{"architecture":"amd64","os":"linux","config":` + settings + more + `,"rootfs":{"type":"layers","diff_ids":["` + sumOf(layer) + `"]}}`},
		entry{name: "manifest.json", content: `[{"Config":"config.json","RepoTags":null,"Layers":["layer.tar"]}]`})
}

// TestCommandsOfOneString: a command may be one string, as in Docker.
func TestCommandsOfOneString(t *testing.T) {
	t.Parallel()
	for _, settings := range []string{
		`{"Entrypoint":"/bin/sh"}`, `{"Cmd":"sh"}`, `{"Shell":"/bin/sh"}`, `{"Entrypoint":""}`, `{"Entrypoint":null}`, `{"Cmd":["sh","-c"]}`, `null`,
	} {
		packed := configured(t, settings, "")
		var out bytes.Buffer
		found, err := Load(&out, bytes.NewReader(packed), checks())
		if err != nil || !strings.Contains(string(found.Config), settings) {
			t.Errorf("%s: %s, %v", settings, found.Config, err)
		}
		if _, err := Copy(io.Discard, bytes.NewReader(packed), nil, checks()); err != nil {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

// TestFieldsOfAnotherKind: the error for a field of the wrong type names the field and the right type.
func TestFieldsOfAnotherKind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ settings, more, want string }{
		{`{"Entrypoint":{"sh":1}}`, "", `its field config.Entrypoint has an object where a list should be, as ["/entrypoint.sh"]`},
		{`{"Entrypoint":[1]}`, "", `its field config.Entrypoint has a number where a string should be`},
		{`{"Env":"A=1"}`, "", `its field config.Env has a string where a list should be, as ["NAME=value"]`},
		{`{"Env":{"A":"1"}}`, "", `its field config.Env has an object where a list should be, as ["NAME=value"]`},
		{`{"OnBuild":"RUN true"}`, "", `its field config.OnBuild has a string where a list should be`},
		{`{"Volumes":["/data"]}`, "", `its field config.Volumes has a list where an object should be, as {"/data": {}}`},
		{`{"Volumes":{"/data":""}}`, "", `its field config.Volumes has a string where an object should be, as {"/data": {}}`},
		{`{"ExposedPorts":["80/tcp"]}`, "", `its field config.ExposedPorts has a list where an object should be, as {"80/tcp": {}}`},
		{`{"User":1000}`, "", `its field config.User has a number where a string should be, as "1000"`},
		{`{"user":1000}`, "", `its field config.User has a number where a string should be, as "1000"`},
		{`{"Labels":{"a":true}}`, "", `its field config.Labels has true or false where a string should be`},
		{`{"Healthcheck":{"Interval":"30s"}}`, "", `its field config.Healthcheck.Interval has a string where a whole number should be, as 30000000000, which is 30 s`},
		{`{}`, `,"created":""`, `its field created has "" where a time should be, as "2006-01-02T15:04:05Z"; it may be left out`},
		{`{}`, `,"history":[{"created":"yesterday"}]`, `its field created has "yesterday" where a time should be`},
		{`{}`, `,"history":"none"`, `its field history has a string where a list should be`},
		{`[]`, "", `its field config has a list where an object should be`},
		{`{`, "", `it is no JSON: `},
	} {
		want := `its configuration "config.json": ` + c.want
		wantRefusal(t, load(io.Discard, bytes.NewReader(configured(t, c.settings, c.more))), want)
		_, err := Copy(io.Discard, bytes.NewReader(configured(t, c.settings, c.more)), nil, checks())
		wantRefusal(t, err, want)
	}
	for text, want := range map[string]string{
		`{"Config":"config.json"}`:                        "its manifest.json: it is an object where a list should be",
		`[{"RepoTags":"web:1"}]`:                          `its manifest.json: its field RepoTags has a string where a list should be, as ["web:1"]`,
		"\uFEFF[]":                                        "its manifest.json: it begins with a byte order mark",
		"\xff\xfe[\x00]\x00":                              "its manifest.json: it begins with a byte order mark",
		`[{"Config":{"mediaType":"x"},"Layers":[]}]`:      "its manifest.json: its field Config has an object where a string should be",
		`[{"Config":"config.json","Layers":[{"a":"b"}]}]`: "its manifest.json: its field Layers has an object where a string should be",
	} {
		wantRefusal(t, load(io.Discard, bytes.NewReader(pack(t, entry{name: "manifest.json", content: text}))), want)
	}
}

// TestTopDirectory: the error for an archive that contains a directory with the image says so.
func TestTopDirectory(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	for name, packed := range map[string][]byte{"docker": saved(t, layer, layer), "oci": layout(t, zip(t, layer), "amd64")} {
		contents, names, err := unpack(packed)
		if err != nil {
			t.Fatal(err)
		}
		entries := []entry{{name: "./my dir/", kind: tar.TypeDir}}
		for _, name := range names {
			entries = append(entries, entry{name: "./my dir/" + name, content: strings.TrimPrefix(contents[name], "0  ")})
		}
		want := `its files lie in a directory, "my dir", where they are not looked for: pack what is in it, as 'tar -C "my dir" -cf FILE .' does`
		wantRefusal(t, load(io.Discard, bytes.NewReader(zip(t, pack(t, entries...)))), want)
		if t.Failed() {
			t.Log(name)
		}
	}
}

// TestKeepTags: a copy keeps the archive's tags if it is given none. It drops invalid ones and completes names
// without a tag: an engine loads no archive with others.
func TestKeepTags(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	packed := pack(t, entry{name: "layer.tar", content: string(layer)}, entry{name: "config.json", content: configOf(layer)}, entry{
		name:    "manifest.json",
		content: `[{"Config":"config.json","RepoTags":["web:1","docker.io/site/web:latest","Not a name","web","web@` + sumOf(nil) + `"],"Layers":["layer.tar"]}]`,
	})
	for _, c := range []struct {
		tags []string
		keep bool
		want string
	}{
		{nil, true, `"RepoTags":["web:1","docker.io/site/web:latest","web:latest"]`},
		{[]string{"other:1"}, true, `"RepoTags":["other:1"]`},
		{[]string{"WEB:", "127.0.0.1:5000/other"}, true, `"RepoTags":["127.0.0.1:5000/other:latest"]`},
		{[]string{"WEB:"}, false, `"RepoTags":null`},
		{nil, false, `"RepoTags":null`},
	} {
		o := checks()
		o.KeepTags = c.keep
		var out bytes.Buffer
		if _, err := Copy(&out, bytes.NewReader(packed), c.tags, o); err != nil {
			t.Fatal(err)
		}
		if files, _, err := unpack(out.Bytes()); err != nil || !strings.Contains(files["manifest.json"], c.want) {
			t.Errorf("%v, %v: %s, %v", c.tags, c.keep, files["manifest.json"], err)
		}
	}
}

// TestNonArchives: the error for a file that is not an archive says what it is.
func TestNonArchives(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	dir := func(name string) entry { return entry{name: name, kind: tar.TypeDir} }
	mtab := entry{name: "./etc/mtab", kind: tar.TypeSymlink, link: "/proc/mounts"}
	for name, c := range map[string]struct {
		packed []byte
		want   string
	}{
		"docker export":    {pack(t, entry{name: ".dockerenv"}, entry{name: "dev/console", kind: tar.TypeChar}), "it holds the files of a system, as 'docker export' writes them, and no image"},
		"a root directory": {pack(t, dir("./"), dir("./bin/"), dir("./etc/"), mtab), "it holds the files of a system"},
		"small files only": {pack(t, entry{name: "etc/passwd", content: "root"}, entry{name: "usr/bin/sh", content: "x"}), "it holds the files of a system"},
		"before 1.10":      {pack(t, entry{name: "a/json", content: "{}"}, entry{name: "a/layer.tar", content: string(layer)}, entry{name: "repositories", content: "{}"}), "it has no manifest.json, as what a Docker before 1.10 saved"},
		"Git LFS":          {[]byte("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 5\n"), "it is a pointer of Git LFS to a file, which 'git lfs pull' fetches"},
		"a web page":       {[]byte("<!DOCTYPE HTML><html>Log in</html>" + strings.Repeat(" ", 1000)), "it is a web page"},
		"a packed page":    {zip(t, []byte("<html>Log in</html>")), "it is a web page"},
		"a zip file":       {append([]byte("PK\x03\x04"), make([]byte, 600)...), "it is a zip file"},
		"packed twice":     {zip(t, zip(t, saved(t, layer, layer))), "it is compressed with gzip twice: unpack it once"},
		"a word":           {[]byte("hello"), "it is no tar archive, or cut off: it has but 5 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, load(io.Discard, bytes.NewReader(c.packed)), c.want)
		})
	}
	system := append(image(), dir("bin/"), dir("etc/"), dir("usr/"))
	if err := load(io.Discard, bytes.NewReader(pack(t, system...))); err != nil {
		t.Errorf("an image with other directories beside it: %v", err)
	}
}

// TestChooseByPlace: an image may be selected by its index, as in skopeo.
func TestChooseByPlace(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	second := strings.Replace(configOf(layer), "amd64", "s390x", 1)
	packed := pack(t, entry{name: "layer.tar", content: string(layer)}, entry{name: "1.json", content: configOf(layer)}, entry{name: "2.json", content: second},
		entry{name: "manifest.json", content: `[{"Config":"1.json","RepoTags":null,"Layers":["layer.tar"]},{"Config":"/2.json","Layers":["/layer.tar"]}]`})
	for choose, want := range map[string]string{
		"":    "it holds 2 images, and one is wanted: none has a name, but @0 is the first",
		"@0":  sumOf([]byte(configOf(layer))),
		"@1":  sumOf([]byte(second)),
		"@2":  `it holds 2 images, and none is at the place "@2"; the first is @0`,
		"@-1": `none is at the place "@-1"`,
		"@x":  `none is at the place "@x"`,
	} {
		o := checks()
		o.Name = choose
		found, err := Load(io.Discard, bytes.NewReader(packed), o)
		if !strings.HasPrefix(want, "sha256:") {
			wantRefusal(t, err, want)
		} else if err != nil || found.ID != want {
			t.Errorf("%s: %s, %v", choose, found.ID, err)
		}
	}
}

// TestSeveralNamesOfOneImage: an index with one image under two names has one image.
func TestSeveralNamesOfOneImage(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	files, names, err := unpack(layout(t, zip(t, layer), "amd64"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		SchemaVersion int              `json:"schemaVersion"`
		Manifests     []map[string]any `json:"manifests"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(files["index.json"], "0  ")), &index); err != nil {
		t.Fatal(err)
	}
	other := maps.Clone(index.Manifests[0])
	other["annotations"] = map[string]string{"org.opencontainers.image.ref.name": "localhost/web:stable"}
	index.Manifests = append(index.Manifests, other)
	text, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	var entries []entry
	for _, name := range names {
		content := strings.TrimPrefix(files[name], "0  ")
		if name == "index.json" {
			content = string(text)
		}
		entries = append(entries, entry{name: name, content: content})
	}
	for _, choose := range []string{"", "localhost/web:stable", "site/web:amd64"} {
		o := checks()
		o.Name = choose
		if found, err := Load(io.Discard, bytes.NewReader(pack(t, entries...)), o); err != nil || found.ID != sumOf([]byte(configOf(layer))) {
			t.Errorf("%q: %s, %v", choose, found.ID, err)
		}
	}
}

// TestNamedBySHA512: a layer named by its SHA-512 is refused, because Docker uses SHA-256 only.
func TestNamedBySHA512(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	config := strings.Replace(configOf(layer), sumOf(layer), "sha512:"+strings.Repeat("0", 128), 1)
	wantRefusal(t, load(io.Discard, bytes.NewReader(pack(t, entry{name: "layer.tar", content: string(layer)}, entry{name: "config.json", content: config},
		entry{name: "manifest.json", content: `[{"Config":"config.json","Layers":["layer.tar"]}]`}))), "its layer 1 is named by its SHA-512 in the configuration")
}
