package archive

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"testing"
	"unicode/utf8"
)

// emptyFiles returns n empty files.
func emptyFiles(n int) []entry {
	all := make([]entry, n)
	for i := range all {
		all[i].name = fmt.Sprintf("f%d", i)
	}
	return all
}

// TestAmbiguousArchives: an archive that two readers may read differently is refused, because the engine must read
// what was checked.
func TestAmbiguousArchives(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	other := `[{"Config":"config.json","RepoTags":["debian:12"],"Layers":["layer/layer.tar","again/layer.tar"]}]`
	blanks := strings.Repeat(" ", 600)
	with := func(more ...entry) []byte { return pack(t, append(image(), more...)...) }
	config := func(text string) []byte {
		return pack(t, entry{name: "layer.tar", content: string(layer)}, entry{name: "config.json", content: text},
			entry{name: "manifest.json", content: `[{"Config":"config.json","Layers":["layer.tar"]}]`})
	}
	good := configOf(layer)
	long := image()
	long[1].name = "layer/" + strings.Repeat("x", nameLimit)
	for name, c := range map[string]struct {
		packed []byte
		want   string
	}{
		"a second manifest":              {with(entry{name: "manifest.json", content: other}), `it has two entries "manifest.json"`},
		"disguised by blanks":            {with(entry{name: "manifest.json", content: blanks + other}), `it has two entries "manifest.json"`},
		"by another path":                {with(entry{name: "./x/../manifest.json", content: blanks + other}), `it has two entries "manifest.json"`},
		"by a slash":                     {with(entry{name: "manifest.json/", kind: tar.TypeDir}), `it has two entries "manifest.json"`},
		"a disguised manifest first":     {pack(t, append([]entry{{name: "manifest.json", content: blanks + other}}, image()...)...), `it has two entries "manifest.json"`},
		"a packed manifest":              {with(entry{name: "./manifest.json", content: string(zip(t, []byte(other)))}), `it has two entries "manifest.json"`},
		"only a packed one":              {pack(t, entry{name: "manifest.json", content: string(zip(t, []byte(other)))}), "its manifest.json: it is no JSON: invalid character"},
		"a replaced link":                {with(entry{name: "again/layer.tar", content: string(layer)}), `it has two entries "again/layer.tar"`},
		"a replaced file":                {with(entry{name: "layer/layer.tar", kind: tar.TypeSymlink, link: "../x/layer.tar"}), `it has two entries "layer/layer.tar"`},
		"a replaced directory":           {with(entry{name: "layer", content: string(layer)}), `it has two entries "layer"`},
		"a directory nobody named":       {with(entry{name: "x/y"}, entry{name: "x"}), `it has two entries "x"`},
		"below a file":                   {with(entry{name: "x"}, entry{name: "x/y/z"}), `its entry "x/y/z" lies below "x", which is no directory`},
		"a long name":                    {pack(t, long...), `has a name of 1030 bytes; at most 1024 are allowed`},
		"a long link":                    {with(entry{name: "x/layer.tar", kind: tar.TypeSymlink, link: strings.Repeat("x", nameLimit+1)}), "has a name of 1025 bytes; at most 1024 are allowed"},
		"a deep name":                    {with(entry{name: strings.Repeat("x/", componentLimit+1) + "y"}), "lies more than 32 directories deep"},
		"a name in no letters":           {with(entry{name: "\x1b[2J"}), "characters in its name other than printable ASCII"},
		"two keys in a manifest":         {pack(t, entry{name: "manifest.json", content: `[{"Layers":[],"layers":[]}]`}), `its manifest.json: it has the key "layers" twice`},
		"two in other letters":           {pack(t, entry{name: "manifest.json", content: `[{"Layers":[],"layerſ":[]}]`}), `its manifest.json: it has the key "layerſ" twice`},
		"two keys in a configuration":    {config(`{"rootfs":{"diff_ids":[]},` + good[1:]), `its configuration "config.json": it has the key "rootfs" twice`},
		"two keys in its layers":         {config(strings.Replace(good, `"diff_ids"`, `"DIFF_IDS":[],"diff_ids"`, 1)), `it has the key "diff_ids" twice`},
		"a configuration in capitals":    {config(strings.Replace(good, `rootfs`, `RootFS`, 1)), `it has the key "RootFS", which should be "rootfs"`},
		"its layers in capitals":         {config(strings.Replace(good, `diff_ids`, `Diff_Ids`, 1)), `it has the key "Diff_Ids", which should be "diff_ids"`},
		"two configurations in one file": {config(good + good), `its configuration "config.json": it is no JSON: invalid character`},
		"a label twice":                  {config(`{"config":{"Labels":{"a":"1","a":"2"}},` + good[1:]), `it has the key "a" twice`},
		"packed with less":               {saved(t, layer, append([]byte("\x5a\x2a\x4d\x18"), layer[4:]...)), "its layer 1 begins with a frame of zstd"},
		"an empty layer of no gzip":      {saved(t, layer, []byte("\x1f\x8b")), "its layer 1 is damaged"},
		"a name like bzip2":              {with(entry{name: "BZh91AY&SY"}), "has the name of a bzip2 file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			_, err := Copy(&out, bytes.NewReader(c.packed), []string{"mine:1"}, checks())
			wantRefusal(t, err, c.want)
			wantNoImage(t, out.Bytes())
			out.Reset()
			wantRefusal(t, load(&out, bytes.NewReader(c.packed)), c.want)
			wantNoImage(t, out.Bytes())
		})
	}
}

// wantNoImage fails if an engine that takes the end of the stream for the end of the archive finds an image in it.
func wantNoImage(t *testing.T, written []byte) {
	t.Helper()
	if image, err := dockerReads(written); err == nil {
		t.Errorf("what was written until then is an image: %+v", image)
	}
}

// TestLongReason: the text of an error is limited, whatever the archive contains.
func TestLongReason(t *testing.T) {
	t.Parallel()
	packed := pack(t, entry{name: "manifest.json", content: `[{"Config":"` + strings.Repeat("ä", 1<<20) + `"}]`})
	err := load(io.Discard, bytes.NewReader(packed))
	wantRefusal(t, err, `its configuration "ä`)
	if n := len(err.Error()); n > 2010 || !utf8.ValidString(err.Error()) {
		t.Errorf("the reason has %d bytes, or is cut within a letter", n)
	}
}

// TestSameLettersInLabels: labels that differ only in case are different labels.
func TestSameLettersInLabels(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	packed := pack(t, entry{name: "layer.tar", content: string(layer)},
		entry{name: "config.json", content: `{"config":{"Labels":{"name":"a","Name":"b"},"Volumes":{"/a":{},"/A":{}}},` + configOf(layer)[1:]},
		entry{name: "manifest.json", content: `[{"Config":"config.json","Layers":["layer.tar"]}]`})
	if err := load(io.Discard, bytes.NewReader(packed)); err != nil {
		t.Error(err)
	}
}

// TestLayersMustBePresent: an image with a layer that the archive lacks is refused. An engine would take the layer
// from another user's image.
func TestLayersMustBePresent(t *testing.T) {
	t.Parallel()
	mine, others := tinyLayer(), layerOf(t, entry{name: "secret", content: "of another tenant"})
	config := func(layers ...[]byte) entry { return entry{name: "config.json", content: configOf(layers...)} }
	manifest := func(layers string) entry {
		return entry{name: "manifest.json", content: `[{"Config":"config.json","Layers":` + layers + `}]`}
	}
	for name, c := range map[string]struct {
		entries []entry
		want    string
	}{
		"no layer":           {[]entry{config(others), manifest(`["layer.tar"]`)}, `its layer 1, "layer.tar", is missing`},
		"another layer":      {[]entry{{name: "layer.tar", content: string(mine)}, config(others), manifest(`["layer.tar"]`)}, "its layer 1 is damaged: it is sha256:"},
		"one of two":         {[]entry{{name: "layer.tar", content: string(mine)}, config(mine, others), manifest(`["layer.tar","other.tar"]`)}, `its layer 2, "other.tar", is missing`},
		"the same for two":   {[]entry{{name: "layer.tar", content: string(mine)}, config(mine, others), manifest(`["layer.tar","layer.tar"]`)}, "its layer 2 is damaged"},
		"a link to nothing":  {[]entry{{name: "a/layer.tar", kind: tar.TypeSymlink, link: "../b/layer.tar"}, config(others), manifest(`["a/layer.tar"]`)}, `its layer 1, "a/layer.tar", is missing`},
		"a chain of links":   {[]entry{{name: "c/layer.tar", content: string(mine)}, {name: "b/layer.tar", kind: tar.TypeSymlink, link: "../c/layer.tar"}, {name: "a/layer.tar", kind: tar.TypeLink, link: "b/layer.tar"}, config(mine), manifest(`["a/layer.tar"]`)}, `its layer 1, "a/layer.tar", is missing`},
		"a link in a circle": {[]entry{{name: "a/layer.tar", kind: tar.TypeSymlink, link: "../b/layer.tar"}, {name: "b/layer.tar", kind: tar.TypeSymlink, link: "../a/layer.tar"}, config(others), manifest(`["a/layer.tar"]`)}, "is missing"},
		"JSON for a layer":   {[]entry{{name: "layer.tar", content: "{}"}, config(others), manifest(`["layer.tar"]`)}, `its layer 1, "layer.tar", is missing`},
		"a part of it":       {[]entry{{name: "layer.tar", content: string(others[:1024])}, config(others), manifest(`["layer.tar"]`)}, "its layer 1 is damaged"},
		"no digest at all":   {[]entry{{name: "layer.tar", content: string(mine)}, {name: "config.json", content: `{"rootfs":{"diff_ids":[""]}}`}, manifest(`["layer.tar"]`)}, "its layer 1 is damaged"},
		"fewer layers":       {[]entry{config(others), manifest(`[]`)}, "it has 0 layers, and its configuration names 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			_, err := Load(&out, bytes.NewReader(pack(t, c.entries...)), Options{Platform: platform}) // no limits: it holds all the same
			wantRefusal(t, err, c.want)
			wantNoImage(t, out.Bytes())
		})
	}
}

// TestForeignLayers: instructions to fetch a layer are not passed on to an engine.
func TestForeignLayers(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	packed := pack(t, entry{name: "layer.tar", content: string(layer)}, entry{name: "config.json", content: configOf(layer)},
		entry{name: "manifest.json", content: `[{"Config":"config.json","Layers":["layer.tar"],"Parent":"` + sumOf(nil) + `","LayerSources":{"` + sumOf(layer) + `":{"urls":["http://x/"]}}}]`})
	var out bytes.Buffer
	if err := load(&out, bytes.NewReader(packed)); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"LayerSources", "urls", "Parent"} {
		if strings.Contains(out.String(), word) {
			t.Errorf("%s is passed on", word)
		}
	}
}

// zeros reads as a number of zero bytes.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	n := min(int64(len(p)), z.left)
	if n == 0 {
		return 0, io.EOF
	}
	clear(p[:n])
	z.left -= n
	return int(n), nil
}

// stream returns an archive with a large first entry, without holding it in memory.
func stream(name string, size int64, rest ...entry) io.Reader {
	out, into := io.Pipe()
	go func() {
		w := tar.NewWriter(into)
		_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size})
		_, _ = io.Copy(w, &zeros{size})
		for _, e := range rest {
			_ = w.WriteHeader(&tar.Header{Name: e.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(e.content))})
			_, _ = io.WriteString(w, e.content)
		}
		into.CloseWithError(w.Close())
	}()
	return out
}

// TestBounds: the error for each limit names the value and the limit.
func TestBounds(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	config := func(key, value string) io.Reader {
		text := `{"` + key + `":` + value + `,` + configOf(layer)[1:]
		return bytes.NewReader(pack(t, entry{name: "layer.tar", content: string(layer)}, entry{name: "config.json", content: text},
			entry{name: "manifest.json", content: `[{"Config":"config.json","Layers":["layer.tar"]}]`}))
	}
	list := func(n int, item string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	object := func(n int, value string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%d/tcp":%s`, i, value)
		}
		return "{" + strings.TrimPrefix(b.String(), ",") + "}"
	}
	layers := make([][]byte, layersLimit+1)
	for i := range layers {
		layers[i] = layer
	}
	for name, c := range map[string]struct {
		packed io.Reader
		want   string
	}{
		"a huge configuration": {stream("config.json", DescriptionLimit+1, entry{name: "manifest.json", content: `[{"Config":"config.json"}]`}), `its configuration "config.json" is missing`},
		"one with a brace":     {bytes.NewReader(pack(t, entry{name: "config.json", content: "{" + strings.Repeat(" ", DescriptionLimit)})), "its config.json has 4194305 bytes, more than any image needs"},
		"volumes":              {config("config", `{"Volumes":`+object(volumesLimit+1, "{}")+`}`), "it has 65 volumes; at most 64 are allowed"},
		"ports":                {config("config", `{"ExposedPorts":`+object(portsLimit+1, "{}")+`}`), "it has 20001 exposed ports; at most 20000 are allowed"},
		"labels":               {config("config", `{"Labels":`+object(labelsLimit+1, `""`)+`}`), "it has 1025 labels; at most 1024 are allowed"},
		"large labels":         {config("config", `{"Labels":{"x":"`+strings.Repeat("x", labelsBytes)+`"}}`), "it has 524289 bytes of labels; at most 524288 are allowed"},
		"variables":            {config("config", `{"Env":`+list(envLimit+1, `"A="`)+`}`), "it has 1025 environment variables; at most 1024 are allowed"},
		"large variables":      {config("config", `{"Env":["A=`+strings.Repeat("x", settingsBytes)+`"]}`), "bytes of environment, command and other settings; at most 1048576 are allowed"},
		"a large command":      {config("config", `{"Cmd":["`+strings.Repeat("x", settingsBytes)+`"]}`), "bytes of environment, command and other settings"},
		"a large health check": {config("config", `{"Healthcheck":{"Test":["`+strings.Repeat("x", settingsBytes)+`"]}}`), "bytes of environment, command and other settings"},
		"history":              {config("history", list(historyLimit+1, "{}")), "it has 1025 entries in its history; at most 1024 are allowed"},
		"values":               {config("x", list(valuesLimit, "0")), "it has more than 100000 values"},
		"depth":                {config("x", strings.Repeat("[", 40)+strings.Repeat("]", 40)), "it is nested more than 32 deep"},
		"layers":               {bytes.NewReader(pack(t, entry{name: "config.json", content: configOf(layers...)}, entry{name: "manifest.json", content: `[{"Config":"config.json"}]`})), "it has 128 layers; at most 127 are allowed"},
		"entries":              {bytes.NewReader(pack(t, emptyFiles(entriesLimit+1)...)), "it has more than 16384 entries"},
		"a layer of nothing":   {stream("layer.tar", 2<<30, entry{name: "manifest.json", content: `[{"Config":"config.json"}]`}), "it unpacks to more than 1073741824 bytes, the most that is allowed (image_max_unpacked_gb)"},
		"one layer many times": {bytes.NewReader(repeated(t, 100, 20<<20)), "it unpacks to more than 1073741824 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(io.Discard, c.packed, Options{Platform: platform, Limits: &Limits{Unpacked: 1 << 30, Setting: "image_max_unpacked_gb"}})
			wantRefusal(t, err, c.want)
		})
	}
}

// repeated returns an archive in which one layer occurs n times.
func repeated(t *testing.T, n int, size int) []byte {
	return timesOf(t, n, layerOf(t, entry{name: "zeros", content: string(make([]byte, size))}))
}

func timesOf(t *testing.T, n int, layer []byte) []byte {
	all, names := make([][]byte, n), make([]string, n)
	for i := range all {
		all[i], names[i] = layer, `"layer.tar"`
	}
	return pack(t, entry{name: "layer.tar", content: string(zip(t, layer))}, entry{name: "config.json", content: configOf(all...)},
		entry{name: "manifest.json", content: `[{"Config":"config.json","Layers":[` + strings.Join(names, ",") + `]}]`})
}

// TestAccept: an error of Accept leaves no image.
func TestAccept(t *testing.T) {
	t.Parallel()
	full := errors.New("no room for it")
	o := checks()
	o.Accept = func(c Contents) error {
		if c.Unpacked != 10 || len(c.Layers) != 2 {
			t.Errorf("asked for %+v", c)
		}
		return full
	}
	var out bytes.Buffer
	if _, err := Load(&out, bytes.NewReader(pack(t, image()...)), o); !errors.Is(err, full) {
		t.Errorf("got %v, want what Accept said", err)
	}
	wantNoImage(t, out.Bytes())
}

// loadedImage is what an engine makes of an archive.
type loadedImage struct {
	tags   []string
	config []byte
	layers [][]byte
}

// dockerReads is a model of Docker's loader: files replace each other, encoding/json reads the JSON, and
// manifest.json names the image. The end of the stream is the end of the archive.
func dockerReads(packed []byte) (loadedImage, error) {
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(packed)); ; {
		header, err := r.Next()
		if err != nil {
			break
		}
		if header.Typeflag != tar.TypeReg {
			return loadedImage{}, fmt.Errorf("%s is no file, and nothing else is needed", header.Name)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			break
		}
		files[path.Clean(header.Name)] = content
	}
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.NewDecoder(bytes.NewReader(files["manifest.json"])).Decode(&manifest); err != nil {
		return loadedImage{}, err
	}
	if len(manifest) != 1 {
		return loadedImage{}, fmt.Errorf("%d images", len(manifest))
	}
	image := loadedImage{tags: manifest[0].RepoTags, config: files[path.Clean(manifest[0].Config)]}
	if image.config == nil {
		return loadedImage{}, errors.New("no configuration")
	}
	for _, name := range manifest[0].Layers {
		image.layers = append(image.layers, files[path.Clean(name)])
	}
	return image, nil
}

// complete checks that the image has each layer that the configuration names.
func (i loadedImage) complete() error {
	var config struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(i.config, &config); err != nil {
		return err
	}
	if len(config.RootFS.DiffIDs) != len(i.layers) {
		return fmt.Errorf("%d layers, and %d named", len(i.layers), len(config.RootFS.DiffIDs))
	}
	for n, packed := range i.layers {
		plain, _, err := decompress(bytes.NewReader(packed))
		if err != nil {
			return err
		}
		content, err := io.ReadAll(io.LimitReader(plain, 100<<20))
		if err != nil || sumOf(content) != config.RootFS.DiffIDs[n] {
			return fmt.Errorf("layer %d is %s, %v, and named %s", n, sumOf(content), err, config.RootFS.DiffIDs[n])
		}
	}
	return nil
}

// FuzzLoad: what an engine receives has no names and all its layers, or is not an image.
func FuzzLoad(f *testing.F) {
	layer := tinyLayer()
	whole := pack(f, image()...)
	for _, seed := range [][]byte{
		nil, whole, whole[:len(whole)/2], zip(f, whole), []byte("QFI\xfb"), sparse(),
		saved(f, layer, zip(f, layer)), saved(f, layer, zstandard(f, layer)), layout(f, zip(f, layer), "amd64"),
		pack(f, append(image(), entry{name: "./manifest.json", content: `[{"RepoTags":["web"],"repotags":["web"]}]`})...),
		pack(f, entry{name: "c", content: `{"rootfs":{"diff_ids":[]}}`}, entry{name: "manifest.json", content: `[{"Config":"c","RepoTags":["web"]}]`}),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		var out bytes.Buffer
		found, err := Load(&out, bytes.NewReader(packed), Options{Platform: platform, Limits: &Limits{Unpacked: 10 << 20}})
		image, noImage := dockerReads(out.Bytes())
		switch {
		case err != nil && noImage == nil:
			t.Fatalf("refused (%v), and what is written is an image: %+v", err, image)
		case err != nil:
			return
		case noImage != nil:
			t.Fatalf("accepted, and what is written is none: %v", noImage)
		}
		if len(image.tags) > 0 || sumOf(image.config) != found.ID {
			t.Fatalf("accepted %s, and written with the tags %q as %s", found.ID, image.tags, sumOf(image.config))
		}
		if err := image.complete(); err != nil {
			t.Fatalf("accepted, and a layer is not there: %v", err)
		}
	})
}

// FuzzConfig: a reader that knows one spelling of each key reads the same configuration as Docker does.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		configOf(tinyLayer()), `{"rootfs":{"diff_ids":["a"]},"rootFs":{"diff_ids":[]}}`, `{"rootfs":{"diff_ids":["a"],"diff_id\u017f":[]}}`,
		`{"config":{"Labels":{"a":"1","A":"2"},"Env":["A=1"]},"rootfs":{}}`, `{"rootfs":null,"os":"linux"}`, `[]`, `{"config":{"Labels":{"a":{"b":1,"B":2}}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		image, err := checkConfig(text)
		if err != nil {
			return
		}
		var plain, rootfs map[string]json.RawMessage
		var ids []string
		if err := json.Unmarshal(text, &plain); err != nil {
			t.Fatalf("accepted, and no object: %v", err)
		}
		if plain["rootfs"] != nil && json.Unmarshal(plain["rootfs"], &rootfs) == nil && rootfs["diff_ids"] != nil {
			if err := json.Unmarshal(rootfs["diff_ids"], &ids); err != nil {
				t.Fatalf("accepted, and its layers are none: %v", err)
			}
		}
		if fmt.Sprint(ids) != fmt.Sprint(image.RootFS.DiffIDs) {
			t.Fatalf("accepted with the layers %v, and another reader finds %v", image.RootFS.DiffIDs, ids)
		}
	})
}
