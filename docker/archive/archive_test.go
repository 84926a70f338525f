package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const manifestText = `[{"Config":"config.json","RepoTags":["web:1","web:latest"],"Layers":["layer/layer.tar"]}]`

// entry is one of a tar; what is not given is a file's.
type entry struct {
	name, content string
	kind          byte
	link          string
}

// image is an archive as `docker save` writes it.
func image() []entry {
	return []entry{
		{name: "layer/", kind: tar.TypeDir},
		{name: "layer/layer.tar", content: strings.Repeat("layer\n", 500)},
		{name: "again/layer.tar", kind: tar.TypeSymlink, link: "../layer/layer.tar"},
		{name: "config.json", content: `{"architecture":"amd64"}`},
		{name: "manifest.json", content: manifestText},
		{name: "repositories", content: `{"web":{"latest":"0123"}}`},
	}
}

func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Mode: 0o644, Size: int64(len(e.content))}
		if e.kind == 0 {
			header.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zip(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpack reads a tar to its end; the names of its entries are in order.
func unpack(packed []byte) (contents map[string]string, names []string, err error) {
	contents = map[string]string{}
	r := tar.NewReader(bytes.NewReader(packed))
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return contents, names, nil
		}
		if err != nil {
			return nil, nil, err
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, nil, err
		}
		names = append(names, header.Name)
		contents[header.Name] = fmt.Sprintf("%c %s %s", header.Typeflag, header.Linkname, content)
	}
}

// TestNamesVanish: and nothing else does.
func TestNamesVanish(t *testing.T) {
	t.Parallel()
	const index = `{"schemaVersion":2,"manifests":[{"digest":"sha256:12","annotations":{"io.containerd.image.name":"docker.io/library/web:1","org.opencontainers.image.ref.name":"1","kept":"yes"}},{"digest":"sha256:34"}]}`
	entries := append(image(), entry{name: "index.json", content: index}, entry{name: "oci-layout", content: "{}"})
	for name, packed := range map[string][]byte{
		"plain":             pack(t, entries...),
		"gzip":              zip(t, pack(t, entries...)),
		"with more padding": append(pack(t, entries...), make([]byte, 100_000)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := Anonymous(&out, bytes.NewReader(packed)); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out.String(), "web") {
				t.Error("the archive still has a name in it")
			}
			got, names, err := unpack(out.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if want := "[layer/ layer/layer.tar again/layer.tar config.json manifest.json index.json oci-layout]"; fmt.Sprint(names) != want {
				t.Errorf("entries %v, want %s", names, want)
			}
			wantManifest(t, got["manifest.json"])
			want, _, err := unpack(pack(t, entries...))
			if err != nil {
				t.Fatal(err)
			}
			want["index.json"] = `0  {"manifests":[{"annotations":{"kept":"yes"},"digest":"sha256:12"},{"digest":"sha256:34"}],"schemaVersion":2}`
			for _, name := range []string{"layer/", "layer/layer.tar", "again/layer.tar", "config.json", "index.json", "oci-layout"} {
				if got[name] != want[name] {
					t.Errorf("%s is %q, want %q", name, got[name], want[name])
				}
			}
		})
	}
}

// TestTagsInDisguise: Go's JSON, which Docker reads manifests with, takes keys in any case and the last of two.
func TestTagsInDisguise(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string][]entry{
		"another case":      {{name: "manifest.json", content: `[{"repotags":["web:1"]}]`}},
		"folded letters":    {{name: "manifest.json", content: `[{"RepoTag\u017f":["web:1"]}]`}},
		"twice":             {{name: "manifest.json", content: `[{"RepoTags":null,"RepoTags":["web:1"]}]`}},
		"another path":      {{name: "./a/../manifest.json", content: manifestText}},
		"two manifests":     {{name: "manifest.json", content: `[{}]`}, {name: "./manifest.json", content: manifestText}},
		"an index":          {{name: "manifest.json", content: `[{}]`}, {name: "index.json", content: `{"Manifests":[{"Annotations":{"io.containerd.image.name":"web:1"}}]}`}},
		"only repositories": {{name: "manifest.json", content: `[{}]`}, {name: "./repositories", content: `{"web":{"1":"0123"}}`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := Anonymous(&out, bytes.NewReader(pack(t, entries...))); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out.String(), "web") {
				t.Errorf("the archive still has the name in it: %q", out.String())
			}
		})
	}
}

func wantManifest(t *testing.T, entry string) {
	t.Helper()
	var images []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(entry, "0  ")), &images); err != nil {
		t.Fatal(err)
	}
	if len(images) != 1 || images[0].Config != "config.json" || fmt.Sprint(images[0].Layers) != "[layer/layer.tar]" || images[0].RepoTags != nil {
		t.Errorf("manifest %+v, want that of the image without its tags", images)
	}
}

// TestRefusals: each is said to the owner of the image, so it is in words, and an *Error.
func TestRefusals(t *testing.T) {
	t.Parallel()
	with := func(more ...entry) []byte { return pack(t, append(image(), more...)...) }
	broken := zip(t, pack(t, image()...))
	broken[len(broken)-6]++ // in gzip's checksum
	headless := pack(t, image()...)
	copy(headless[512:], bytes.Repeat([]byte("x"), 512))
	for name, test := range map[string]struct {
		packed []byte
		want   string
	}{
		"empty":              {nil, "it is empty"},
		"one byte":           {[]byte("x"), "it is cut off"},
		"qcow2":              {append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 5000)...), "it is a qcow2 disk image, not a Docker archive"},
		"zeroes":             {make([]byte, 5000), "without a manifest.json"},
		"no tar at all":      {bytes.Repeat([]byte("words, words "), 100), "it is no tar archive"},
		"gzip of no tar":     {zip(t, bytes.Repeat([]byte("words, words "), 100)), "it is no tar archive"},
		"gzip of nothing":    {zip(t, nil), "it is empty"},
		"gzip of a qcow2":    {zip(t, append([]byte("QFI\xfb"), make([]byte, 5000)...)), "it is a qcow2 disk image"},
		"gzip's bad header":  {[]byte("\x1f\x8b\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "it is compressed, but not as gzip does it"},
		"gzip's checksum":    {broken, "it is damaged"},
		"gzip with trash":    {append(zip(t, pack(t, image()...)), "more trash than a header"...), "it is damaged"},
		"a broken header":    {headless, "it is damaged after its entry 1"},
		"climbing":           {with(entry{name: "../evil"}), `its path "../evil" leads out of it`},
		"climbing inside":    {with(entry{name: "a/../../evil"}), `its path "a/../../evil" leads out of it`},
		"the parent itself":  {with(entry{name: "..", kind: tar.TypeDir}), `its path ".." leads out of it`},
		"absolute":           {with(entry{name: "/etc/passwd"}), `its path "/etc/passwd" leads out of it`},
		"a link out":         {with(entry{name: "a/layer.tar", kind: tar.TypeSymlink, link: "../../evil"}), `its link "a/layer.tar" leads out of it, to "../../evil"`},
		"an absolute link":   {with(entry{name: "a/layer.tar", kind: tar.TypeSymlink, link: "/etc/passwd"}), `its link "a/layer.tar" leads out of it, to "/etc/passwd"`},
		"a link elsewhere":   {with(entry{name: "a", kind: tar.TypeSymlink, link: "."}, entry{name: "a/manifest.json", content: manifestText}), `its link "a" is not one to a layer`},
		"through a link":     {with(entry{name: "a/layer.tar", kind: tar.TypeSymlink, link: "../"}, entry{name: "a/layer.tar/manifest.json", content: manifestText}), `its path "a/layer.tar/manifest.json" may lead through a link`},
		"a device":           {with(entry{name: "sda", kind: tar.TypeBlock}), `its entry "sda" is neither a file nor a directory`},
		"a hard link":        {with(entry{name: "a", kind: tar.TypeLink, link: "config.json"}), `its entry "a" is neither a file nor a directory`},
		"a pipe":             {with(entry{name: "a", kind: tar.TypeFifo}), `its entry "a" is neither a file nor a directory`},
		"a sparse file":      {sparse(), `its entry "big" is a sparse file`},
		"no manifest":        {pack(t, entry{name: "config.json"}), "without a manifest.json"},
		"no JSON":            {pack(t, entry{name: "manifest.json", content: "{"}), "its manifest.json: "},
		"no list":            {pack(t, entry{name: "manifest.json", content: "{}"}), "its manifest.json: "},
		"no image":           {pack(t, entry{name: "manifest.json", content: "[]"}), "it holds 0 images, and a server runs one"},
		"an image of null":   {pack(t, entry{name: "manifest.json", content: "[null]"}), "it holds 0 images, and a server runs one"},
		"two images":         {pack(t, entry{name: "manifest.json", content: `[{"RepoTags":["a"]},{"RepoTags":["b"]}]`}), "it holds 2 images, and a server runs one"},
		"a linked manifest":  {pack(t, entry{name: "real.json", content: manifestText}, entry{name: "manifest.json", kind: tar.TypeSymlink, link: "real.json"}), "its link \"manifest.json\" is not one to a layer"},
		"a huge manifest":    {pack(t, entry{name: "manifest.json", content: "[" + strings.Repeat(" ", manifestLimit) + "]"}), "its manifest.json has 4194306 bytes, more than any image needs"},
		"a huge index":       {with(entry{name: "index.json", content: strings.Repeat(" ", manifestLimit+1)}), "its index.json has 4194305 bytes"},
		"an index of no use": {with(entry{name: "index.json", content: "[]"}), "its index.json: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, Anonymous(io.Discard, bytes.NewReader(test.packed)), test.want)
		})
	}
}

// sparse is a tar of some hundred bytes whose only file has eight petabytes of nothing. Go's writer makes none.
func sparse() []byte {
	const records = "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n23 GNU.sparse.name=big\n40 GNU.sparse.realsize=8000000000000000\n"
	var b bytes.Buffer
	block := func(content string) { b.WriteString(content + strings.Repeat("\x00", 512-len(content))) }
	header := func(name string, kind byte, size int) {
		field := func(sum string) string {
			return fmt.Sprintf("%-100s0000644\x000000000\x000000000\x00%011o\x0000000000000\x00%s%c%-100sustar\x0000", name, size, sum, kind, "")
		}
		sum := 0
		for _, c := range []byte(strings.ReplaceAll(field("        "), "\x00", "")) {
			sum += int(c)
		}
		block(field(fmt.Sprintf("%06o\x00 ", sum)))
	}
	header("pax", tar.TypeXHeader, len(records))
	block(records)
	header("big", tar.TypeReg, 512)
	block("1\n8000000000000000\n0\n")
	return b.Bytes()
}

func wantRefusal(t *testing.T, err error, want string) {
	t.Helper()
	var refused *Error
	if !errors.As(err, &refused) {
		t.Fatalf("error %v (%T), want an *Error with %q", err, err, want)
	}
	if !strings.Contains(refused.Reason, want) {
		t.Errorf("reason %q, want one with %q", refused.Reason, want)
	}
}

// TestCutOff: wherever a transfer breaks off, what has come is no image. Only the zeroes at the end may be missing.
func TestCutOff(t *testing.T) {
	t.Parallel()
	whole := pack(t, image()...)
	needed := len(whole) - 1024 // a tar ends with two empty blocks, for which no reader insists
	for at := 0; at < needed; at += needed/10 + 1 {
		err := Anonymous(io.Discard, bytes.NewReader(whole[:at]))
		var refused *Error
		if !errors.As(err, &refused) {
			t.Errorf("cut at %d of %d: %v, want an *Error", at, len(whole), err)
		}
	}
	zipped := zip(t, whole)
	for at := range len(zipped) {
		var refused *Error
		if err := Anonymous(io.Discard, bytes.NewReader(zipped[:at])); !errors.As(err, &refused) {
			t.Errorf("gzip cut at %d of %d: %v, want an *Error", at, len(zipped), err)
		}
	}
}

// TestFailingSource: what is wrong with the source is not said of the image.
func TestFailingSource(t *testing.T) {
	t.Parallel()
	dead := errors.New("the network is down")
	for name, packed := range map[string][]byte{"plain": pack(t, image()...), "gzip": zip(t, pack(t, image()...))} {
		for _, at := range []int{0, 3, 20, len(packed) / 2, len(packed) - 1} {
			err := Anonymous(io.Discard, io.MultiReader(bytes.NewReader(packed[:at]), iotest.ErrReader(dead)))
			if !errors.Is(err, dead) {
				t.Errorf("%s, failing after %d bytes: %v, want the source's error", name, at, err)
			}
		}
	}
}

func TestFailingDestination(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	err := Anonymous(writerFunc(func([]byte) (int, error) { return 0, full }), bytes.NewReader(pack(t, image()...)))
	if !errors.Is(err, full) {
		t.Errorf("error %v, want the destination's", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestReadsAll: a sender that is not read to its end takes that for a failure.
func TestReadsAll(t *testing.T) {
	t.Parallel()
	source := bytes.NewReader(append(pack(t, image()...), make([]byte, 200_000)...))
	if err := Anonymous(io.Discard, source); err != nil {
		t.Fatal(err)
	}
	if source.Len() != 0 {
		t.Errorf("%d bytes were not read", source.Len())
	}
}

func FuzzAnonymous(f *testing.F) {
	whole := pack(f, image()...)
	for _, seed := range [][]byte{
		nil, whole, whole[:len(whole)/2], zip(f, whole), []byte("QFI\xfb"),
		pack(f, append(image(), entry{name: "index.json", content: `{"manifests":[{"annotations":{"io.containerd.image.name":"web"}},null,3]}`})...),
		sparse(), pack(f, entry{name: "./manifest.json", content: `[{"RepoTags":["web"],"repotags":["web"]}]`}),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		var out bytes.Buffer
		if Anonymous(&out, bytes.NewReader(packed)) != nil {
			return
		}
		contents, names, err := unpack(out.Bytes())
		if err != nil {
			t.Fatalf("accepted, but no tar: %v", err)
		}
		for _, name := range names {
			var images []struct{ RepoTags []string } // Go ignores case, as Docker does
			if strings.HasSuffix(name, "manifest.json") && json.Unmarshal([]byte(strings.TrimPrefix(contents[name], "0  ")), &images) == nil &&
				!strings.Contains(strings.TrimSuffix(name, "manifest.json"), "/") && len(images) > 0 && len(images[0].RepoTags) > 0 {
				t.Fatalf("accepted, with the tags %q", images[0].RepoTags)
			}
		}
	})
}
