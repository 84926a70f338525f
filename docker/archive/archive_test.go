package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

const manifestText = `[{"Config":"config.json","RepoTags":["web:1","web:latest"],"Layers":["layer/layer.tar","again/layer.tar"]}]`

// entry is an entry of a tar; by default a regular file.
type entry struct {
	name, content string
	kind          byte
	link          string
	attribute     string // an extended attribute that it has
}

// image returns the entries of an archive as `docker save` writes them, with a layer that occurs twice.
func image() []entry {
	layer := tinyLayer()
	return []entry{
		{name: "layer/", kind: tar.TypeDir},
		{name: "layer/layer.tar", content: string(layer)},
		{name: "again/layer.tar", kind: tar.TypeSymlink, link: "../layer/layer.tar"},
		{name: "layer/json", content: `{"id":"0123"}`},
		{name: "config.json", content: configOf(layer, layer)},
		{name: "manifest.json", content: manifestText},
		{name: "repositories", content: `{"web":{"latest":"0123"}}`},
	}
}

func tinyLayer() []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "motd", Typeflag: tar.TypeReg, Mode: 0o644, Size: 5})
	_, _ = io.WriteString(w, "hello")
	_ = w.Close()
	return b.Bytes()
}

// load passes an archive to Load with the test's options.
func load(dst io.Writer, src io.Reader) error {
	_, err := Load(dst, src, checks())
	return err
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
		if e.attribute != "" {
			header.PAXRecords = map[string]string{"SCHILY.xattr." + e.attribute: "value"}
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

// unpack reads a tar to its end and returns its entries, and their names in order.
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

// TestLoad: an engine receives layers, configuration and manifest.json, in this order, and none of the archive's
// names.
func TestLoad(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	index := `{"schemaVersion":2,"manifests":[{"digest":"sha256:12","annotations":{"io.containerd.image.name":"docker.io/library/web:1"}}]}`
	entries := append(image(), entry{name: "index.json", content: index}, entry{name: "oci-layout", content: "{}"}, entry{name: "junk", content: "web"})
	id := strings.TrimPrefix(sumOf([]byte(configOf(layer, layer))), "sha256:")
	for name, packed := range map[string][]byte{
		"plain":             pack(t, entries...),
		"gzip":              zip(t, pack(t, entries...)),
		"with more padding": append(pack(t, entries...), make([]byte, 100_000)...),
		"manifest first":    pack(t, append([]entry{entries[5]}, slices.Delete(slices.Clone(entries), 5, 6)...)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			found, err := Load(&out, bytes.NewReader(packed), checks())
			if err != nil {
				t.Fatal(err)
			}
			got, names, err := unpack(out.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			prefix, _, _ := strings.Cut(fmt.Sprint(names[0]), "layer-")
			if want := "[" + prefix + "layer-1.tar " + prefix + "config.json manifest.json]"; fmt.Sprint(names) != want || found.ID != "sha256:"+id {
				t.Errorf("entries %v of %s, want %s", names, found.ID, want)
			}
			for name, want := range map[string]string{
				prefix + "layer-1.tar": string(layer), prefix + "config.json": configOf(layer, layer),
				"manifest.json": strings.ReplaceAll(`[{"Config":"PREFIXconfig.json","RepoTags":null,"Layers":["PREFIXlayer-1.tar","PREFIXlayer-1.tar"]}]`, "PREFIX", prefix),
			} {
				if got[name] != "0  "+want {
					t.Errorf("%s is %q, want %q", name, got[name], want)
				}
			}
		})
	}
}

// TestLoadsShareNoName: two loads use different names, because containerd's store shares names between loads.
func TestLoadsShareNoName(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 2 {
		var out bytes.Buffer
		if err := load(&out, bytes.NewReader(pack(t, image()...))); err != nil {
			t.Fatal(err)
		}
		_, names, err := unpack(out.Bytes())
		if err != nil || len(names) != 3 {
			t.Fatalf("entries %v, %v", names, err)
		}
		for _, name := range names {
			if seen[name] && name != "manifest.json" {
				t.Errorf("two loads have an entry %q", name)
			}
			seen[name] = true
		}
	}
}

// TestRefusals: each refusal is an *Error with a text for the owner of the image.
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
		"empty":             {nil, "it is empty"},
		"one byte":          {[]byte("x"), "it is no tar archive, or cut off: it has but 1 bytes"},
		"qcow2":             {append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 5000)...), "it is a qcow2 disk image, not a Docker archive"},
		"zeroes":            {make([]byte, 5000), "without a manifest.json"},
		"no tar at all":     {bytes.Repeat([]byte("words, words "), 100), "it is no tar archive"},
		"gzip of no tar":    {zip(t, bytes.Repeat([]byte("words, words "), 100)), "it is no tar archive"},
		"gzip of nothing":   {zip(t, nil), "it is empty"},
		"gzip of a qcow2":   {zip(t, append([]byte("QFI\xfb"), make([]byte, 5000)...)), "it is a qcow2 disk image"},
		"gzip's bad header": {[]byte("\x1f\x8b\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "it is compressed, but not as gzip does it"},
		"gzip's checksum":   {broken, "it is damaged"},
		"gzip with trash":   {append(zip(t, pack(t, image()...)), "more trash than a header"...), "it is damaged"},
		"a broken header":   {headless, "it is damaged after its entry 1"},
		"climbing":          {with(entry{name: "../evil"}), `its path "../evil" leads out of it`},
		"climbing inside":   {with(entry{name: "a/../../evil"}), `its path "a/../../evil" leads out of it`},
		"the parent itself": {with(entry{name: "..", kind: tar.TypeDir}), `its path ".." leads out of it`},
		"absolute":          {with(entry{name: "/etc/passwd"}), `its path "/etc/passwd" leads out of it`},
		"a link out":        {with(entry{name: "a/layer.tar", kind: tar.TypeSymlink, link: "../../evil"}), `its link "a/layer.tar" leads out of it, to "../../evil"`},
		"an absolute link":  {with(entry{name: "a/layer.tar", kind: tar.TypeSymlink, link: "/etc/passwd"}), `its link "a/layer.tar" leads out of it, to "/etc/passwd"`},
		"a link elsewhere":  {with(entry{name: "a", kind: tar.TypeSymlink, link: "."}, entry{name: "a/manifest.json", content: manifestText}), `its entry "a/manifest.json" lies below "a", which is no directory`},
		"through a link":    {with(entry{name: "a/layer.tar", kind: tar.TypeSymlink, link: "../"}, entry{name: "a/layer.tar/manifest.json", content: manifestText}), `its path "a/layer.tar/manifest.json" may lead through a link`},
		"a device":          {with(entry{name: "sda", kind: tar.TypeBlock}), `its entry "sda" is neither a file nor a directory`},
		"a hard link out":   {with(entry{name: "b/layer.tar", kind: tar.TypeLink, link: "../etc/shadow"}), `its link "b/layer.tar" leads out of it, to "../etc/shadow"`},
		"an absolute one":   {with(entry{name: "b/layer.tar", kind: tar.TypeLink, link: "/etc/shadow"}), `its link "b/layer.tar" leads out of it, to "/etc/shadow"`},
		"a hard link twice": {with(entry{name: "layer/layer.tar", kind: tar.TypeLink, link: "config.json"}), `it has two entries "layer/layer.tar"`},
		"a linked config":   {pack(t, entry{name: "real.json", content: configOf()}, entry{name: "config.json", kind: tar.TypeLink, link: "real.json"}, entry{name: "manifest.json", content: `[{"Config":"config.json"}]`}), `its configuration "config.json" is missing`},
		"a linked index":    {with(entry{name: "index.json", kind: tar.TypeLink, link: "manifest.json"}), `its link "index.json" is not one to a layer`},
		"xz as a whole":     {[]byte("\xfd7zXZ\x00\x00\x04"), "it is compressed with xz as a whole; a node reads archives that are plain or compressed with gzip"},
		"a pipe":            {with(entry{name: "a", kind: tar.TypeFifo}), `its entry "a" is neither a file nor a directory`},
		"a sparse file":     {sparse(), `its entry "big" is a sparse file`},
		"no manifest":       {pack(t, entry{name: "config.json"}), "without a manifest.json"},
		"no JSON":           {pack(t, entry{name: "manifest.json", content: "{"}), "its manifest.json: "},
		"no list":           {pack(t, entry{name: "manifest.json", content: "{}"}), "its manifest.json: "},
		"no image":          {pack(t, entry{name: "manifest.json", content: "[]"}), "it holds 0 images, and one is wanted"},
		"an image of null":  {pack(t, entry{name: "manifest.json", content: "[null]"}), `its configuration "" is missing`},
		"two images":        {pack(t, entry{name: "manifest.json", content: `[{"RepoTags":["a"]},{"RepoTags":["b"]}]`}), "it holds 2 images, and one is wanted: a, b"},
		"a linked manifest": {pack(t, entry{name: "real.json", content: manifestText}, entry{name: "manifest.json", kind: tar.TypeSymlink, link: "real.json"}), "its link \"manifest.json\" is not one to a layer"},
		"a huge manifest":   {pack(t, entry{name: "manifest.json", content: "[" + strings.Repeat(" ", DescriptionLimit) + "]"}), "its manifest.json has 4194306 bytes, more than any image needs"},
		"a huge index":      {with(entry{name: "index.json", content: strings.Repeat(" ", DescriptionLimit+1)}), "its index.json has 4194305 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, load(io.Discard, bytes.NewReader(test.packed)), test.want)
		})
	}
}

// sparse returns a tar of a few hundred bytes whose only file has eight petabytes of zeros. Go's writer cannot make
// one.
func sparse() []byte { return sparseOf(8000000000000000) }

// sparseOf returns such a tar with a file of this size and a proper end.
func sparseOf(size int64) []byte {
	digits := strconv.FormatInt(size, 10)
	records := fmt.Sprintf("22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n23 GNU.sparse.name=big\n%d GNU.sparse.realsize=%s\n", len("40 GNU.sparse.realsize=\n")+len(digits), digits)
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
	block("1\n" + digits + "\n0\n")
	b.Write(make([]byte, 1024))
	return b.Bytes()
}

func wantRefusal(t *testing.T, err error, want string) {
	t.Helper()
	var invalid *Error
	if !errors.As(err, &invalid) {
		t.Fatalf("error %v (%T), want an *Error with %q", err, err, want)
	}
	if !strings.Contains(invalid.Reason, want) {
		t.Errorf("reason %q, want one with %q", invalid.Reason, want)
	}
}

// TestCutOff: an archive that is cut off anywhere is refused. Only the zeros at the end may be missing.
func TestCutOff(t *testing.T) {
	t.Parallel()
	whole := pack(t, image()...)
	needed := len(whole) - 1024 // a tar ends with two empty blocks, for which no reader insists
	for at := 0; at < needed; at += needed/10 + 1 {
		err := load(io.Discard, bytes.NewReader(whole[:at]))
		var invalid *Error
		if !errors.As(err, &invalid) {
			t.Errorf("cut at %d of %d: %v, want an *Error", at, len(whole), err)
		}
	}
	zipped := zip(t, whole)
	for at := range len(zipped) {
		var invalid *Error
		if err := load(io.Discard, bytes.NewReader(zipped[:at])); !errors.As(err, &invalid) {
			t.Errorf("gzip cut at %d of %d: %v, want an *Error", at, len(zipped), err)
		}
	}
}

// TestFailingSource: an error of the source is not reported as one of the image.
func TestFailingSource(t *testing.T) {
	t.Parallel()
	for _, dead := range []error{errors.New("the network is down"), fmt.Errorf("ask again: %w", io.EOF), fmt.Errorf("the download broke: %w", io.ErrUnexpectedEOF)} {
		testFailingSource(t, dead)
	}
}

func testFailingSource(t *testing.T, dead error) {
	t.Helper()
	for name, packed := range map[string][]byte{"plain": pack(t, image()...), "gzip": zip(t, pack(t, image()...))} {
		for _, at := range []int{0, 3, 20, len(packed) / 2, len(packed) - 1} {
			err := load(io.Discard, io.MultiReader(bytes.NewReader(packed[:at]), iotest.ErrReader(dead)))
			if !errors.Is(err, dead) {
				t.Errorf("%s, failing after %d bytes: %v, want the source's error, %v", name, at, err, dead)
			}
		}
	}
}

func TestFailingDestination(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	err := load(writerFunc(func([]byte) (int, error) { return 0, full }), bytes.NewReader(pack(t, image()...)))
	if !errors.Is(err, full) {
		t.Errorf("error %v, want the destination's", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestReadsAll: the source is read to its end, because a sender takes anything less for a failure.
func TestReadsAll(t *testing.T) {
	t.Parallel()
	source := bytes.NewReader(append(pack(t, image()...), make([]byte, 200_000)...))
	if err := load(io.Discard, source); err != nil {
		t.Fatal(err)
	}
	if source.Len() != 0 {
		t.Errorf("%d bytes were not read", source.Len())
	}
}
