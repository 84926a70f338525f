package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// windowed packs a layer with a window of zstd of so many bytes. It says none of its size, as encoders of streams do.
func windowed(t *testing.T, layer []byte, window int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(window))
	if err == nil {
		_, err = w.Write(layer)
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// attributed has a file with many attributes, of so many bytes in all.
func attributed(t *testing.T, size int) []byte {
	t.Helper()
	records := map[string]string{}
	for n := range size / 30 { // each is written as 30 bytes, or fewer
		records[fmt.Sprintf("SCHILY.xattr.u.%x", n)] = "v"
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: "a", Mode: 0o644, PAXRecords: records})
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestFrugalLimits: what takes much memory is refused with little of it only. What it says of the others is the same.
func TestFrugalLimits(t *testing.T) {
	layer := layerOf(t, entry{name: "one", content: strings.Repeat("x", 100_000)}, entry{name: "two", content: "y"})
	for name, c := range map[string]struct {
		content []byte
		says    string // "" for what is taken
	}{
		"plain": {layer, ""}, "gzip": {zip(t, layer), ""}, "zstd": {zstandard(t, layer), ""},
		"the largest window": {windowed(t, layer, 8<<20), ""}, "a larger window": {windowed(t, layer, 16<<20), "window size exceeded"},
		"xz": {unbase64(t, xzLayer), "it is packed with xz"}, "bzip2": {unbase64(t, bzip2Layer), "it is packed with bzip2"},
		"attributes": {attributed(t, 32<<10), ""}, "many attributes": {attributed(t, 256<<10), "headers of more than"},
		"a sparse file": {sparseOf(1 << 20), "a sparse file"},
	} {
		want, err := InspectLayer(t.Context(), bytes.NewReader(c.content), &Limits{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		switch got, err := InspectLayer(t.Context(), bytes.NewReader(c.content), &Limits{Frugal: true}); {
		case c.says != "":
			wantRefusal(t, err, c.says)
		case err != nil, got != want:
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
}

// TestFrugalMemory: a layer that stops in the middle holds no more memory than was said, whatever it has.
func TestFrugalMemory(t *testing.T) {
	random := unbase64(t, xzLayer)
	layer := layerOf(t, entry{name: "large", content: strings.Repeat("x", 10<<20) + string(random)})
	for name, content := range map[string][]byte{
		"plain": layer, "gzip": zip(t, layer), "zstd": windowed(t, layer, 8<<20), "a larger window": windowed(t, layer, 32<<20),
		"many attributes": attributed(t, 1<<19), "some attributes": attributed(t, 60<<10), "nothing": nil, "a byte": {0x28},
	} {
		said, before := FrugalMemory(content[:min(len(content), 16)]), heap()
		from, to := io.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			InspectLayer(t.Context(), from, &Limits{Frugal: true})
		}()
		to.Write(content[:max(0, len(content)-1100)]) // not the end of the last file
		if took := int64(heap()) - int64(before); took > said {
			t.Errorf("%s: it takes %d bytes, and %d were said", name, took, said)
		}
		to.Close()
		<-ended
		runtime.KeepAlive(content)
	}
}

func heap() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
