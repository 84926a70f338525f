package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestInspectLayer(t *testing.T) {
	layer := files(t, "one")
	for compression, c := range map[string]struct {
		packed    []byte
		mediaType string
	}{
		"":     {layer, "application/vnd.oci.image.layer.v1.tar"},
		"gzip": {zip(t, layer), "application/vnd.oci.image.layer.v1.tar+gzip"},
		"zstd": {zstandard(t, layer), "application/vnd.oci.image.layer.v1.tar+zstd"},
	} {
		from := &countingReader{from: bytes.NewReader(c.packed)}
		want := InspectedLayer{DiffID: digest.FromBytes(layer), Unpacked: 1200, Compression: compression, MediaType: c.mediaType}
		if got, err := InspectLayer(t.Context(), from, &Limits{}); err != nil || got != want || from.n != int64(len(c.packed)) {
			t.Errorf("%q: got %+v, %v after %d bytes of %d, want %+v", compression, got, err, from.n, len(c.packed), want)
		}
	}
	for compression, packed := range map[string][]byte{"xz": unbase64(t, xzLayer), "bzip2": unbase64(t, bzip2Layer)} {
		if got, err := InspectLayer(t.Context(), bytes.NewReader(packed), &Limits{}); err != nil || got.Compression != compression || got.MediaType != "" || got.DiffID == "" {
			t.Errorf("%s: got %+v, %v", compression, got, err)
		}
	}
}

// TestInspectNoLayer: who uploads anything else hears why it is no layer, and the rest of it is read.
func TestInspectNoLayer(t *testing.T) {
	large := layerOf(t, entry{name: "large", content: strings.Repeat("x", 1<<20)})
	packed := zip(t, files(t, "one"))
	for name, c := range map[string]struct {
		content []byte
		says    string
	}{
		"JSON":                   {[]byte(`{"a":"` + strings.Repeat("b", 1000) + `"}`), "it is no tar archive"},
		"text":                   {[]byte("a few words"), "it is no tar archive, or a damaged one"},
		"gzip of text":           {zip(t, []byte(strings.Repeat("text ", 1000))), "it is no tar archive"},
		"gzip that is cut off":   {packed[:len(packed)/2], "it is damaged"},
		"gzip with more":         {append(packed, "more"...), "it is damaged"},
		"a path that leads out":  {layerOf(t, entry{name: "../etc/passwd"}), "it has a path that leads out of it"},
		"beyond the limit":       {large, "it unpacks to more than 1000000 bytes"},
		"packed, beyond it":      {zip(t, large), "it unpacks to more than 1000000 bytes"},
		"a sparse file of an EB": {sparse(), "it unpacks to more than"},
	} {
		t.Run(name, func(t *testing.T) {
			content := slices.Clone(c.content)
			if name != "gzip that is cut off" {
				content = append(content, make([]byte, 1<<20)...)
			}
			from := &countingReader{from: bytes.NewReader(content)}
			_, err := InspectLayer(t.Context(), from, &Limits{Unpacked: 1_000_000, Ratio: 100})
			wantRefusal(t, err, c.says)
			if from.n != int64(len(content)) {
				t.Errorf("%d bytes of %d were read", from.n, len(content))
			}
		})
	}
}

// TestInspectLayerBreaksOff: that the sender goes away is no fault of the layer.
func TestInspectLayerBreaksOff(t *testing.T) {
	layer := layerOf(t, entry{name: "random", content: string(unbase64(t, xzLayer))}, entry{name: "../out", kind: tar.TypeReg})
	for _, stored := range [][]byte{layer, zip(t, layer), zstandard(t, layer)} {
		for _, after := range []int{0, 3, 50, len(stored) - 1, len(stored)} {
			for _, away := range []error{errors.New("gone"), io.ErrUnexpectedEOF} {
				_, err := InspectLayer(t.Context(), io.MultiReader(bytes.NewReader(stored[:after]), failingReader{away}), &Limits{})
				var invalid *Error
				if !errors.Is(err, away) || errors.As(err, &invalid) {
					t.Errorf("after %d bytes: %v, want %v", after, err, away)
				}
			}
		}
	}
}

// TestInspectLayersShareLimits: damaged layers count, too, and when nothing is left, nothing is unpacked.
func TestInspectLayersShareLimits(t *testing.T) {
	damaged := append(zstandard(t, make([]byte, 1<<20)), "damaged!"...)
	limits := &Limits{Unpacked: 2<<20 + 1000}
	for n, says := range []string{"it is damaged", "it is damaged", "it unpacks to more than", "it unpacks to more than"} {
		_, err := InspectLayer(t.Context(), bytes.NewReader(damaged), limits)
		wantRefusal(t, err, says)
		if n == 2 && (!limits.isSpent() || limits.unpacked > 3<<20) {
			t.Errorf("%d bytes were unpacked", limits.unpacked)
		}
	}
	spent := limits.unpacked
	_, err := InspectLayer(t.Context(), bytes.NewReader(files(t, "one")), limits)
	if wantRefusal(t, err, "it unpacks to more than"); limits.unpacked != spent {
		t.Errorf("%d bytes more were unpacked", limits.unpacked-spent)
	}
}

// TestInspectLayerUntilEnd: who goes away leaves nobody behind who unpacks.
func TestInspectLayerUntilEnd(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	limits := &Limits{Unpacked: 1 << 30}
	_, err := InspectLayer(gone, bytes.NewReader(zstandard(t, make([]byte, 16<<20))), limits)
	if !errors.Is(err, context.Canceled) || limits.unpacked > 1<<20 {
		t.Errorf("error %v after %d bytes", err, limits.unpacked)
	}
}
