package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

var platform = Platform{OS: "linux", Architecture: "amd64"}

func checks() Options {
	return Options{Platform: platform, Limits: &Limits{Unpacked: 1 << 30, Ratio: 200}}
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// layerOf returns a layer with these files.
func layerOf(t testing.TB, files ...entry) []byte { return pack(t, files...) }

func configOf(layers ...[]byte) string {
	var ids []string
	for _, layer := range layers {
		ids = append(ids, sumOf(layer))
	}
	text, _ := json.Marshal(map[string]any{"architecture": "amd64", "os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": ids}})
	return string(text)
}

// saved returns a Docker archive with one layer, stored as packed.
func saved(t testing.TB, layer, packed []byte) []byte {
	return pack(t,
		entry{name: "layer.tar", content: string(packed)},
		entry{name: "config.json", content: configOf(layer)},
		entry{name: "manifest.json", content: `[{"Config":"config.json","RepoTags":["web:1"],"Layers":["layer.tar"]}]`})
}

// layout returns an OCI layout in a tar, with an image of one gzipped layer for each architecture.
func layout(t testing.TB, packed []byte, architectures ...string) []byte {
	return layoutOf(t, unzip(t, packed), packed, architectures...)
}

func layoutOf(t testing.TB, plain, packed []byte, architectures ...string) []byte {
	var entries []entry
	blob := func(content []byte) map[string]any {
		entries = append(entries, entry{name: path.Join("blobs/sha256", strings.TrimPrefix(sumOf(content), "sha256:")), content: string(content)})
		return map[string]any{"digest": sumOf(content), "size": len(content)}
	}
	layer := blob(packed)
	var manifests []map[string]any
	for _, architecture := range architectures {
		config := blob([]byte(strings.Replace(configOf(plain), "amd64", architecture, 1)))
		manifest, _ := json.Marshal(map[string]any{"schemaVersion": 2, "config": config, "layers": []any{layer}})
		described := blob(manifest)
		described["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
		described["platform"] = map[string]any{"os": "linux", "architecture": architecture}
		described["annotations"] = map[string]string{"org.opencontainers.image.ref.name": "site/web:" + architecture}
		manifests = append(manifests, described)
	}
	index, _ := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": manifests})
	return pack(t, append(entries, entry{name: "index.json", content: string(index)}, entry{name: "oci-layout", content: `{"imageLayoutVersion":"1.0.0"}`})...)
}

func unzip(t testing.TB, packed []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func zstandard(t testing.TB, content []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(content, nil)
}

// TestCopy: a copy of any kind of archive is a Docker archive with the same id and the requested names.
func TestCopy(t *testing.T) {
	t.Parallel()
	layer := layerOf(t, entry{name: "etc/", kind: tar.TypeDir}, entry{name: "etc/motd", content: strings.Repeat("hello\n", 300)})
	for name, packed := range map[string][]byte{
		"docker":             saved(t, layer, layer),
		"docker, compressed": zip(t, saved(t, layer, layer)),
		"packed layers":      saved(t, layer, zip(t, layer)),
		"oci":                layout(t, zip(t, layer), "amd64"),
		"oci, several":       layout(t, zip(t, layer), "arm64", "amd64"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			found, err := Copy(&out, bytes.NewReader(packed), []string{"mine:1"}, checks())
			if err != nil {
				t.Fatal(err)
			}
			want := sumOf([]byte(configOf(layer)))
			if found.ID != want || found.Platform != platform || found.Unpacked != 1800 || len(found.Layers) != 1 {
				t.Errorf("found %+v, want %s", found, want)
			}
			again, err := Read(&out, nothing{}, checks())
			if err != nil {
				t.Fatal(err)
			}
			if again.ID != want || fmt.Sprint(again.Tags) != "[mine:1]" {
				t.Errorf("written %+v", again)
			}
		})
	}
}

// nothing is a Sink that discards everything.
type nothing struct{}

func (nothing) File(_ *tar.Header, content io.Reader) error  { return drain(content) }
func (nothing) Layer(_ *tar.Header, content io.Reader) error { return drain(content) }

func drain(content io.Reader) error {
	_, err := io.Copy(io.Discard, content)
	return err
}

func TestChoose(t *testing.T) {
	t.Parallel()
	layer := layerOf(t, entry{name: "motd", content: "hello"})
	several := pack(t,
		entry{name: "layer.tar", content: string(layer)}, entry{name: "config.json", content: configOf(layer)},
		entry{name: "manifest.json", content: `[{"Config":"config.json","RepoTags":["a:1"],"Layers":["layer.tar"]},{"Config":"config.json","RepoTags":["b:latest"],"Layers":["layer.tar"]}]`})
	for name, c := range map[string]struct {
		packed []byte
		choose string
		want   string // tags, or what is wrong
	}{
		"by tag":           {several, "a:1", "[a:1]"},
		"by latest":        {several, "b", "[b:latest]"},
		"none of them":     {several, "c", `it holds no image "c", only: a:1, b:latest`},
		"not chosen":       {several, "", "it holds 2 images, and one is wanted: a:1, b:latest"},
		"oci by name":      {layout(t, zip(t, layer), "amd64", "arm64"), "site/web:amd64", "[site/web:amd64]"},
		"oci, no such":     {layout(t, zip(t, layer), "amd64"), "x", `its index has 0 images for linux/amd64 that are called "x", and one is wanted; it has images for linux/amd64`},
		"oci, no platform": {layout(t, zip(t, layer), "arm64", "riscv64"), "", "its index has 0 images for linux/amd64, and one is wanted; it has images for linux/arm64, linux/riscv64"},
	} {
		o := checks()
		o.Name = c.choose
		found, err := Read(bytes.NewReader(c.packed), nothing{}, o)
		if got := fmt.Sprint(found.Tags); err == nil && got != c.want || err != nil && err.Error() != c.want {
			t.Errorf("%s: got %s, %v, want %s", name, got, err, c.want)
		}
	}
}

// TestBadLayers: layers that could harm whoever unpacks them are refused.
func TestBadLayers(t *testing.T) {
	t.Parallel()
	good := layerOf(t, entry{name: "motd", content: strings.Repeat("hello", 200)})
	broken := bytes.Clone(zip(t, good))
	broken[len(broken)-5]++ // in gzip's checksum
	with := func(files ...entry) []byte {
		layer := layerOf(t, files...)
		return saved(t, layer, layer)
	}
	zeroes := layerOf(t, entry{name: "zeroes", content: string(make([]byte, ratioThreshold+1<<20))})
	for name, c := range map[string]struct {
		packed []byte
		want   string
	}{
		"climbing":         {with(entry{name: "../../etc/passwd", content: strings.Repeat("x", 600)}), `its layer 1 has a path that leads out of it, "../../etc/passwd"`},
		"climbing inside":  {with(entry{name: "a/../../b", content: "x"}), "its layer 1 has a path that leads out of it"},
		"a link that does": {with(entry{name: "a", kind: tar.TypeLink, link: "../../etc/shadow"}), `its layer 1 has a link that leads out of it, "a" to "../../etc/shadow"`},
		"a deep path":      {with(entry{name: strings.Repeat("d/", 256) + "f"}), "its layer 1 has a path more than 255 directories deep"},
		"a long name":      {with(entry{name: strings.Repeat("x", 256)}), "its layer 1 has a name of more than 255 bytes, the most that are allowed"},
		"a long path":      {with(entry{name: strings.Repeat(strings.Repeat("x", 200)+"/", 21) + "x"}), "its layer 1 has a path of 4222 bytes"},
		"of overlayfs":     {with(entry{name: "a", kind: tar.TypeDir, attribute: "trusted.overlay.redirect"}), `its layer 1 has a file with an attribute that is for the host's root alone, "a" with "trusted.overlay.redirect"`},
		"another layer":    {saved(t, zip(t, good), good), "its layer 1 is damaged: it is sha256:"},
		"broken gzip":      {saved(t, good, broken), "its layer 1 is damaged: gzip: invalid checksum"},
		"cut gzip":         {saved(t, good, zip(t, good)[:len(zip(t, good))-10]), "its layer 1 is damaged"},
		"no tar":           {saved(t, good, bytes.Repeat([]byte("words "), 200)), "its layer 1 is no tar archive, or a damaged one"},
		"too large":        {with(entry{name: "big", content: strings.Repeat("x", 2<<20)}), "its layer 1 unpacks to more than 1048576 bytes, the most that is allowed"},
		"a bomb":           {saved(t, zeroes, zip(t, zeroes)), "its layer 1 unpacks to more than 200 times its size"},
		"sparse":           {saved(t, sparse(), sparse()), "its layer 1 unpacks to more than"},
		"sparse, as GNU":   {saved(t, gnuSparse(), gnuSparse()), "its layer 1 unpacks to more than"},
		"missing":          {pack(t, entry{name: "config.json", content: configOf(good)}, entry{name: "manifest.json", content: `[{"Config":"config.json","Layers":["layer.tar"]}]`}), `its layer 1, "layer.tar", is missing`},
		"one too few":      {pack(t, entry{name: "config.json", content: configOf(good)}, entry{name: "manifest.json", content: `[{"Config":"config.json"}]`}), "it has 0 layers, and its configuration names 1"},
		"no configuration": {pack(t, entry{name: "manifest.json", content: `[{"Config":"config.json"}]`}), `its configuration "config.json" is missing`},
		"broken zstd":      {saved(t, good, append(zstandard(t, good)[:20], "broken"...)), "a layer of it is damaged: "},
		"a bomb in zstd":   {saved(t, zeroes, zstandard(t, zeroes)), "a layer of it unpacks to more than 200 times its size"},
		"many entries":     {pack(t, emptyFiles(entriesLimit+1)...), "it has more than 16384 entries"},
		"nothing known":    {pack(t, entry{name: "index.json", content: `{"manifests":[{"digest":"sha256:12"}]}`}), "its manifest sha256:12 is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := checks()
			if name == "too large" {
				o.Limits.Unpacked = 1 << 20
			}
			_, err := Copy(io.Discard, bytes.NewReader(c.packed), nil, o)
			wantRefusal(t, err, c.want)
		})
	}
}

// TestSparseSums: sizes whose sum overflows are above each limit, not negative.
func TestSparseSums(t *testing.T) {
	t.Parallel()
	small, endless := layerOf(t, entry{name: "one", content: "1"}), sparseOf(math.MaxInt64)
	twice := pack(t, entry{name: "1.tar", content: string(small)}, entry{name: "2.tar", content: string(endless)},
		entry{name: "config.json", content: configOf(small, endless)}, entry{name: "manifest.json", content: `[{"Config":"config.json","Layers":["1.tar","2.tar"]}]`})
	o := Options{Platform: platform, Limits: &Limits{Unpacked: 500 << 30, Setting: "image_max_unpacked_gb"}}
	found, err := Load(io.Discard, bytes.NewReader(twice), o)
	wantRefusal(t, err, "its layer 2 unpacks to more than 536870912000 bytes, the most that is allowed (image_max_unpacked_gb)")
	o.Limits = &Limits{} // any size, which is still a size
	if found, err = Load(io.Discard, bytes.NewReader(twice), o); err != nil || found.Unpacked != math.MaxInt64 {
		t.Errorf("without a limit: got %d bytes, %v", found.Unpacked, err)
	}
	o.Limits = &Limits{Unpacked: math.MaxInt64, Ratio: math.MaxInt64}
	if found, err = Load(io.Discard, bytes.NewReader(saved(t, small, small)), o); err != nil || found.Unpacked != 1 {
		t.Errorf("with the largest limit: got %d bytes, %v", found.Unpacked, err)
	}
}

// TestImpliedDirectories: directories that are only part of a path are counted as files, because an engine creates
// them.
func TestImpliedDirectories(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("d/", 200)
	layer := layerOf(t, entry{name: "a/b/", kind: tar.TypeDir}, entry{name: "./a/b/c"}, entry{name: deep + "1"}, entry{name: "/" + deep + "2"}, entry{name: "e"}, entry{name: deep + "3", content: "hello"})
	const files = 2 + 1 + 201 + 1 + 1 + 201
	found, err := Load(io.Discard, bytes.NewReader(saved(t, layer, layer)), checks())
	if err != nil || found.Files != files || found.Unpacked != 5 || found.Disk != files*4096+int64(len(layer)) {
		t.Errorf("got %d files, %d bytes and %d on a disk, %v", found.Files, found.Unpacked, found.Disk, err)
	}
}

// TestLayerManyTimes: a layer is counted each time that a manifest names it, because an engine unpacks it each time.
func TestLayerManyTimes(t *testing.T) {
	t.Parallel()
	attributes := map[string]string{"SCHILY.xattr.user.x": strings.Repeat("x", 50<<10)}
	var large bytes.Buffer
	w := tar.NewWriter(&large)
	for i := range 40 {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprint(i), Typeflag: tar.TypeReg, PAXRecords: attributes}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		layer []byte
		limit int64
		want  string
	}{
		"empty files":         {layerOf(t, emptyFiles(filesLimit/layersLimit+1)...), 4 << 30, "it brings the image to more than 4194304 files, the most that are allowed"},
		"extended attributes": {large.Bytes(), 100 << 20, "it unpacks to more than 104857600 bytes"},
	} {
		packed := timesOf(t, layersLimit, c.layer)
		_, err := Load(io.Discard, bytes.NewReader(packed), Options{Platform: platform, Limits: &Limits{Unpacked: c.limit}})
		if wantRefusal(t, err, c.want); t.Failed() {
			t.Log(name)
		}
	}
}

// gnuSparse returns what 'tar --sparse' makes of an empty file of a TiB. Go's writer cannot make one.
func gnuSparse() []byte {
	var b [2 * 512]byte
	copy(b[0:], "zeros")
	copy(b[100:], "0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00        S")
	copy(b[257:], "ustar  ")
	copy(b[386:], "\x80\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00") // where the only part begins, which has no bytes
	copy(b[398:], "00000000000")
	copy(b[483:], "\x80\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(b[:], make([]byte, 1024)...)
}

// TestZstdIsDecompressed: a copy has no layer in zstd, which engines before 23 cannot read, and no manifest that
// names one.
func TestZstdIsDecompressed(t *testing.T) {
	t.Parallel()
	layer := layerOf(t, entry{name: "motd", content: strings.Repeat("hello", 200)})
	for name, packed := range map[string][]byte{
		"docker-archive": saved(t, layer, zstandard(t, layer)),
		"oci-archive":    layoutOf(t, layer, zstandard(t, layer), "amd64"),
		"index first":    append(pack(t, entry{name: "oci-layout", content: `{"imageLayoutVersion":"1.0.0"}`})[:1024], saved(t, layer, zstandard(t, layer))...),
	} {
		var copied bytes.Buffer
		if _, err := Copy(&copied, bytes.NewReader(packed), []string{"web:2"}, checks()); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		found, err := Read(bytes.NewReader(copied.Bytes()), nothing{}, checks())
		if err != nil || len(found.Layers) != 1 || found.Layers[0].Compression != "" || found.Unpacked != 1000 {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
		if bytes.Contains(copied.Bytes(), []byte("imageLayoutVersion")) || bytes.Contains(copied.Bytes(), []byte("index.json")) {
			t.Errorf("%s: it says that it is an OCI layout", name)
		}
	}
}

// TestLargeFile: a large file is not taken for a bomb because little of its layer has been read when it begins.
func TestLargeFile(t *testing.T) {
	t.Parallel()
	layer := layerOf(t, entry{name: "zeroes", content: string(make([]byte, ratioThreshold+1<<20))})
	var stored bytes.Buffer
	w, err := gzip.NewWriterLevel(&stored, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(layer); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, packed := range [][]byte{layer, stored.Bytes()} {
		if found, err := Read(bytes.NewReader(saved(t, layer, packed)), nothing{}, checks()); err != nil || found.Unpacked != ratioThreshold+1<<20 {
			t.Errorf("%d bytes, %v", found.Unpacked, err)
		}
	}
}

// TestUnusedEntriesAreIgnored: an entry that no manifest names is not checked as a layer.
func TestUnusedEntriesAreIgnored(t *testing.T) {
	t.Parallel()
	layer := layerOf(t, entry{name: "motd", content: "hello"})
	packed := pack(t,
		entry{name: "VERSION", content: "1.0"}, entry{name: "junk", content: strings.Repeat("junk", 1000)}, entry{name: "empty"},
		entry{name: "layer.tar", content: string(layer)}, entry{name: "again/layer.tar", kind: tar.TypeSymlink, link: "../layer.tar"},
		entry{name: "config.json", content: configOf(layer, layer)},
		entry{name: "manifest.json", content: `[{"Config":"config.json","Layers":["layer.tar","again/layer.tar"]}]`})
	if found, err := Read(bytes.NewReader(packed), nothing{}, checks()); err != nil || len(found.Layers) != 2 {
		t.Errorf("got %+v, %v", found, err)
	}
}

// TestRefusedEntriesCount: entries that are no layers end the reading when they have unpacked to too much. It takes time.
func TestRefusedEntriesCount(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	damaged := string(zstandard(t, make([]byte, 1<<20))) + "damaged!"
	with := func(damagedEntries int) []byte {
		entries := []entry{{name: "layer.tar", content: string(layer)}, {name: "config.json", content: configOf(layer)}, {name: "manifest.json", content: `[{"Config":"config.json","Layers":["layer.tar"]}]`}}
		for n := range damagedEntries {
			entries = append(entries, entry{name: fmt.Sprintf("damaged-%d", n), content: damaged})
		}
		return pack(t, entries...)
	}
	limited := func() Options { return Options{Platform: platform, Limits: &Limits{Unpacked: 4 << 20}} }
	if _, err := Load(io.Discard, bytes.NewReader(with(3)), limited()); err != nil {
		t.Errorf("a few: %v", err)
	}
	var out bytes.Buffer
	_, err := Load(&out, bytes.NewReader(with(30)), limited())
	wantRefusal(t, err, "it unpacks to more than 4194304 bytes")
	wantNoImage(t, out.Bytes())
	inspected := 0
	o := limited()
	o.Inspected = func(Layer) { inspected++ }
	_, err = Read(bytes.NewReader(with(30)), nothing{}, o)
	if wantRefusal(t, err, "it unpacks to more than"); inspected > 5 {
		t.Errorf("%d entries were unpacked", inspected)
	}
}

// TestSinkFails: an error of the sink is not reported as one of the image.
func TestSinkFails(t *testing.T) {
	t.Parallel()
	layer := layerOf(t, entry{name: "motd", content: "hello"})
	full := errors.New("no space left")
	_, err := Copy(writerFunc(func([]byte) (int, error) { return 0, full }), bytes.NewReader(saved(t, layer, layer)), nil, checks())
	if !errors.Is(err, full) {
		t.Errorf("error %v, want the sink's", err)
	}
}

func FuzzCopy(f *testing.F) {
	layer := layerOf(f, entry{name: "motd", content: strings.Repeat("hello", 200)})
	for _, seed := range [][]byte{
		saved(f, layer, layer), saved(f, layer, zip(f, layer)), saved(f, layer, zstandard(f, layer)), zip(f, saved(f, layer, layer)),
		layout(f, zip(f, layer), "amd64"), layout(f, zip(f, layer), "amd64", "arm64"), saved(f, sparse(), sparse()), nil,
		saved(f, layer, unbase64(f, xzLayer)), saved(f, layer, unbase64(f, bzip2Layer)),
		pack(f, entry{name: "a", content: string(layer)}, entry{name: "b", kind: tar.TypeLink, link: "a"}, entry{name: "config.json", content: configOf(layer, layer)},
			entry{name: "manifest.json", content: `[{"Config":"config.json","Layers":["b","a"]}]`}),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		o := checks()
		o.Limits.Unpacked = 10 << 20
		var out bytes.Buffer
		found, err := Copy(&out, bytes.NewReader(packed), []string{"mine:1"}, o)
		if err != nil {
			return
		}
		again, err := Read(&out, nothing{}, checks())
		if err != nil || again.ID != found.ID || fmt.Sprint(again.Tags) != "[mine:1]" {
			t.Fatalf("accepted as %s, and written as %+v, %v", found.ID, again, err)
		}
	})
}

func TestParsePlatform(t *testing.T) {
	for text, want := range map[string]Platform{
		"linux/amd64": {OS: "linux", Architecture: "amd64"}, "linux/arm/v7": {OS: "linux", Architecture: "arm", Variant: "v7"},
		"": {}, "linux": {}, "linux/": {}, "/amd64": {}, "linux/arm/v7/x": {},
	} {
		if got, err := ParsePlatform(text); got != want || (err == nil) != (want != Platform{}) {
			t.Errorf("%q: %+v (%v), want %+v", text, got, err, want)
		}
	}
}
