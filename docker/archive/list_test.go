package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestReadList: all layers are listed, and those that are left out have an image.
func TestReadList(t *testing.T) {
	image, _ := composedOf(t, files(t, "one"), files(t, "two"), files(t, "three"))
	for _, numbers := range [][]int{{}, {2}, {1, 3}} {
		left := image.without(numbers...)
		packed := compose(t, left)
		for _, stored := range [][]byte{packed, zip(t, packed)} {
			listed, err := ReadList(bytes.NewReader(stored))
			if err != nil || !slices.Equal(listed, left.Layers) {
				t.Errorf("without %v: %v, %v, want %v", numbers, listed, err, left.Layers)
			}
		}
	}
}

// TestReadListOfWholeArchives: what has no list leaves nothing out, be it an archive or not.
func TestReadListOfWholeArchives(t *testing.T) {
	whole, _ := composedOf(t, files(t, "one"))
	list := entry{name: listName, content: `{"version":1,"layers":[]}`}
	for name, packed := range map[string][]byte{
		"nothing":               nil,
		"a few bytes":           []byte("docker"),
		"zeroes":                make([]byte, 4096),
		"text":                  []byte(strings.Repeat("no archive ", 1000)),
		"a web page":            []byte("<!DOCTYPE html>" + strings.Repeat(" ", 1000)),
		"a disk":                []byte("QFI\xfb" + strings.Repeat("\x00", 1000)),
		"gzip that is damaged":  zip(t, compose(t, whole))[:20],
		"another first entry":   pack(t, entry{name: "index.json", content: "{}"}, list),
		"a directory":           pack(t, entry{name: listName, kind: '5'}),
		"a file further inside": pack(t, entry{name: "etc/" + listName, content: "{version"}),
		"a tar that is cut off": pack(t, list)[:300],
		"a layer":               files(t, "one"),
	} {
		if listed, err := ReadList(bytes.NewReader(packed)); err != nil || len(listed) != 0 {
			t.Errorf("%s: %v, %v", name, listed, err)
		}
	}
}

// TestReadListRefuses: a list that cannot be read is not one that names nothing.
func TestReadListRefuses(t *testing.T) {
	image, _ := composedOf(t, files(t, "one"))
	packed := compose(t, image.without(1))
	for name, c := range map[string]struct {
		packed []byte
		says   string
	}{
		"no JSON":          {pack(t, entry{name: listName, content: "{version"}), "its layers.json: it is no JSON"},
		"nothing":          {pack(t, entry{name: listName}), "its layers.json: it is no JSON"},
		"a newer version":  {pack(t, entry{name: listName, content: `{"version":2}`}), "a newer one reads it"},
		"too many":         {rewritten(t, packed, listName, `"layers":[`, `"layers":[`+strings.Repeat(`{},`, 4096)), "at most 4096 are allowed"},
		"no digest":        {rewritten(t, packed, listName, `"digest":"sha256:`, `"digest":"sha257:`), "its layer 1 has"},
		"too long":         {pack(t, entry{name: listName, content: strings.Repeat(" ", DescriptionLimit+1)}), "more than any image needs"},
		"cut off":          {packed[:600], "it is cut off"},
		"another spelling": {pack(t, entry{name: "./" + listName, content: "{version"}), "it is no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadList(bytes.NewReader(c.packed))
			wantRefusal(t, err, c.says)
		})
	}
}

// TestReadListBreaksOff: that Glance breaks off does not make an archive one that names nothing.
func TestReadListBreaksOff(t *testing.T) {
	image, _ := composedOf(t, files(t, "one"))
	packed := compose(t, image.without(1))
	for _, stored := range [][]byte{packed, zip(t, packed)} {
		for _, after := range []int{0, 1, 100, 511, 512, 513, 600} {
			for _, away := range []error{errors.New("no route to host"), io.ErrUnexpectedEOF} {
				broken := io.MultiReader(bytes.NewReader(stored[:min(after, len(stored)/2)]), failingReader{away})
				if _, err := ReadList(broken); !errors.Is(err, away) {
					t.Errorf("after %d bytes: %v, want %v", after, err, away)
				}
			}
		}
	}
}

// TestReadListReadsNoFurther: archives are large, and many.
func TestReadListReadsNoFurther(t *testing.T) {
	image, _ := composedOf(t, files(t, "one"))
	from := &countingReader{from: io.MultiReader(bytes.NewReader(compose(t, image)), endlessReader{})}
	if _, err := ReadList(from); err != nil || from.n > 128<<10 {
		t.Errorf("%d bytes were read, %v", from.n, err)
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) { return len(p), nil }

// TestListMustBeFirst: an archive whose list is found by a reader, and not by who collects layers, would lose its layers.
func TestListMustBeFirst(t *testing.T) {
	image, stored := composedOf(t, files(t, "one"))
	contents, names, err := unpack(compose(t, image.without(1)))
	if err != nil {
		t.Fatal(err)
	}
	var entries []entry
	for _, name := range append(names[1:], names[0]) {
		entries = append(entries, entry{name: name, content: strings.TrimPrefix(contents[name], "0  ")})
	}
	_, err = Load(io.Discard, bytes.NewReader(pack(t, entries...)), withLayers(stored))
	wantRefusal(t, err, fmt.Sprintf("its layers.json is its entry %d, where it must be the first", len(names)))
}

// FuzzReadList: whatever an archive is, no layer is asked for when it is read that its list does not have.
func FuzzReadList(f *testing.F) {
	one, two := files(f, "one"), files(f, "two")
	image, _ := composedOf(f, one, two)
	for _, numbers := range [][]int{{}, {1}, {2}, {1, 2}} {
		packed := compose(f, image.without(numbers...))
		f.Add(packed, one)
		f.Add(zip(f, packed), one)
		f.Add(packed[:len(packed)/2], two)
	}
	f.Add(pack(f, entry{name: "other"}, entry{name: listName, content: `{"version":1}`}), one)
	f.Fuzz(func(t *testing.T, packed, layer []byte) {
		listed, err := ReadList(bytes.NewReader(packed))
		names := map[digest.Digest]bool{}
		for _, one := range listed {
			names[one.Digest] = true
		}
		asked := askedLayers{anyLayer(layer), map[digest.Digest]bool{}}
		_, _ = Load(io.Discard, bytes.NewReader(packed), Options{Platform: platform, Limits: &Limits{Unpacked: 10 << 20}, Layers: asked})
		for name := range asked.names {
			if err != nil || !names[name] {
				t.Fatalf("layer %s is read, and the list is %v, %v", name, listed, err)
			}
		}
	})
}

// askedLayers records what it is asked for.
type askedLayers struct {
	anyLayer
	names map[digest.Digest]bool
}

func (a askedLayers) Has(layer LeftOut) (LayerSize, bool) {
	a.names[layer.Digest] = true
	return a.anyLayer.Has(layer)
}
