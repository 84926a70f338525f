package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"testing"
)

// TestPathTwice: a copy with a path twice in a layer is refused, because Docker does not load it. In an image of a
// registry it is allowed.
func TestPathTwice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files []entry
		want  string
	}{
		"a file":          {[]entry{{name: "dup", content: "1"}, {name: "motd"}, {name: "dup", content: "22"}}, `its layer 1 has the path "dup" twice`},
		"by another path": {[]entry{{name: "a/dup"}, {name: "./a//dup"}}, `its layer 1 has the path "./a//dup" twice`},
		"a directory":     {[]entry{{name: "a/", kind: '5'}, {name: "a", kind: '5'}}, `its layer 1 has the path "a" twice`},
		"not twice":       {[]entry{{name: "a"}, {name: "b"}, {name: "c/a"}, {name: "/a"}}, ""},
	} {
		layer := layerOf(t, c.files...)
		var out bytes.Buffer
		_, err := Copy(&out, bytes.NewReader(saved(t, layer, layer)), nil, checks())
		if c.want == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.want != "" {
			wantRefusal(t, err, c.want)
			wantNoImage(t, out.Bytes())
		}
		if _, err := Read(bytes.NewReader(saved(t, layer, layer)), nothing{}, checks()); err != nil {
			t.Errorf("%s: read: %v", name, err)
		}
	}
}

// TestMaxEngineLayers: Load refuses an image with more layers than an engine stores.
func TestMaxEngineLayers(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	for n, want := range map[int]string{125: "", 126: "it has 126 layers, and Docker Engine stores at most 125", 127: "it has 127 layers"} {
		var layers [][]byte
		var names []string
		for range n {
			layers, names = append(layers, layer), append(names, "layer.tar")
		}
		text, err := json.Marshal(names)
		if err != nil {
			t.Fatal(err)
		}
		packed := pack(t, entry{name: "layer.tar", content: string(layer)}, entry{name: "config.json", content: configOf(layers...)},
			entry{name: "manifest.json", content: fmt.Sprintf(`[{"Config":"config.json","Layers":%s}]`, text)})
		var out bytes.Buffer
		_, err = Load(&out, bytes.NewReader(packed), checks())
		if want == "" && err != nil {
			t.Errorf("%d: %v", n, err)
		}
		if want != "" {
			wantRefusal(t, err, want)
			wantNoImage(t, out.Bytes())
		}
		if _, err := Copy(io.Discard, bytes.NewReader(packed), nil, checks()); err != nil {
			t.Errorf("a copy of %d: %v", n, err)
		}
	}
}
