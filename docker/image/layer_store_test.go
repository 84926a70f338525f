package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"ndock/docker/archive"
)

// memoryStore is a LayerStore in memory.
type memoryStore struct {
	fails error // what each Send ends with, after the first byte

	mu     sync.Mutex
	layers map[digest.Digest]StoredLayer
	bytes  map[digest.Digest][]byte
	sent   int // bytes
	asked  int // queries
}

func newMemoryStore() *memoryStore {
	return &memoryStore{layers: map[digest.Digest]StoredLayer{}, bytes: map[digest.Digest][]byte{}}
}

func (m *memoryStore) Find(_ context.Context, layers []digest.Digest) (map[digest.Digest]StoredLayer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	found := map[digest.Digest]StoredLayer{}
	for _, one := range layers {
		if layer, has := m.layers[one]; has {
			found[one] = layer
		}
	}
	return found, nil
}

func (m *memoryStore) Send(_ context.Context, _ digest.Digest, content io.Reader, inspected func() (StoredLayer, error)) (StoredLayer, error) {
	if m.fails != nil {
		_, _ = content.Read(make([]byte, 1))
		return StoredLayer{}, m.fails
	}
	text, err := io.ReadAll(content)
	if err != nil {
		return StoredLayer{}, err
	}
	found, err := inspected()
	if err != nil {
		return StoredLayer{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent += len(text)
	found.Image = fmt.Sprintf("image of %s", found.Digest)
	m.layers[found.Digest], m.bytes[found.Digest] = found, text
	return found, nil
}

// Has implements archive.LayerSource, for a host that has nothing.
func (m *memoryStore) Has(archive.LeftOut) (archive.LayerSize, bool) {
	return archive.LayerSize{}, false
}

// Open implements archive.LayerSource.
func (m *memoryStore) Open(layer archive.LeftOut) (io.ReadCloser, error) {
	if _, has := m.bytes[layer.Digest]; !has || m.layers[layer.Digest].Image != layer.Image {
		return nil, fmt.Errorf("layer %s is not stored as %q", layer.Digest, layer.Image)
	}
	return io.NopCloser(bytes.NewReader(m.bytes[layer.Digest])), nil
}

// storeIn reads an image into a store, and returns its archive.
func storeIn(t *testing.T, store LayerStore, transports Transports, from Reference) ([]byte, *Archive, error) {
	t.Helper()
	source, err := transports.Find(t.Context(), from)
	if err != nil {
		return nil, nil, err
	}
	opened, err := source.LayeredArchive(t.Context(), store)
	if err != nil {
		return nil, nil, err
	}
	defer opened.Close()
	if layers := opened.Layers(); len(layers) > 0 {
		opened.Metadata() // it is known before the archive is read, or a push would wait for ever
	}
	text, err := io.ReadAll(opened)
	return text, opened, err
}

// wantImage checks that an archive, with the layers of the store, is the image with this id.
func wantImage(t *testing.T, text []byte, store *memoryStore, id string) archive.Contents {
	t.Helper()
	found, err := archive.Load(io.Discard, bytes.NewReader(text), archive.Options{Limits: &archive.Limits{}, Layers: store})
	if err != nil || found.ID != id {
		t.Fatalf("the archive is %s, %v, want %s", found.ID, err, id)
	}
	return found
}

func idOf(t *testing.T, image v1.Image) string {
	t.Helper()
	id, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

// layoutWith returns an image as a layout.
func layoutWith(t *testing.T, image v1.Image) Reference {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	path, err := openLayout(dir)
	if err := errors.Join(err, path.AppendImage(image)); err != nil {
		t.Fatal(err)
	}
	return Reference{Transport: OCILayout, Path: dir}
}

// TestOnlyNewLayersAreSent: of an image that shares layers with another, from each kind of source whose layers have digests.
func TestOnlyNewLayersAreSent(t *testing.T) {
	t.Parallel()
	base, one, two := gzipped(t, noise(2<<20)), gzipped(t, noise(1<<20)+"one"), gzipped(t, noise(1<<20)+"two")
	small := gzipped(t, "small")
	first, second := imageOf(t, "amd64", base, small, one), imageOf(t, "amd64", base, small, two)
	for kind, place := range map[string]func(image v1.Image) Reference{
		"registry": func(image v1.Image) Reference {
			at := newRegistry(t, nil)
			push(t, at+"/web:1", image)
			return Reference{Transport: Registry, Name: at + "/web:1"}
		},
		"layout": func(image v1.Image) Reference { return layoutWith(t, image) },
		"archive": func(image v1.Image) Reference {
			return Reference{Transport: OCIArchive, Path: packedLayout(t, layoutWith(t, image).Path)}
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			store, transports := newMemoryStore(), newTransports(t)
			text, opened, err := storeIn(t, store, transports, place(first))
			if err != nil {
				t.Fatal(err)
			}
			wantImage(t, text, store, idOf(t, first))
			if len(text) > 100_000 || len(store.layers) != 2 {
				t.Errorf("the archive has %d bytes, and %d layers are stored one by one", len(text), len(store.layers))
			}
			digest, err := first.Digest()
			if found := opened.Metadata(); err != nil || found.Digest != digest.String() || found.ID != idOf(t, first) || found.Layers != 3 || found.Unpacked < 3<<20 {
				t.Errorf("metadata %+v, %v", found, err)
			}
			before := store.sent
			if text, opened, err = storeIn(t, store, transports, place(second)); err != nil {
				t.Fatal(err)
			}
			wantImage(t, text, store, idOf(t, second))
			size, err := two.Size()
			if err != nil || store.sent-before != int(size) {
				t.Errorf("%d bytes were sent, %v, want those of the layer that is new, %d", store.sent-before, err, size)
			}
			if found := opened.Metadata(); found.Unpacked < 3<<20 || found.Layers != 3 {
				t.Errorf("metadata %+v", found)
			}
		})
	}
}

// TestUnchangedLayersAreNotRead: from a registry, what the store has is not even downloaded, and it is asked for at once.
func TestUnchangedLayersAreNotRead(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var read []string
	at := newRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
				mu.Lock()
				read = append(read, r.URL.Path)
				mu.Unlock()
			}
			next.ServeHTTP(w, r)
		})
	})
	image := imageOf(t, "amd64", gzipped(t, noise(2<<20)), gzipped(t, noise(1<<20)+"one"), gzipped(t, noise(1<<20)+"two"))
	push(t, at+"/web:1", image)
	store, transports := newMemoryStore(), newTransports(t)
	for _, want := range []int{4, 1} { // three layers and the configuration, and then it alone
		read, store.asked = nil, 0
		text, _, err := storeIn(t, store, transports, Reference{Transport: Registry, Name: at + "/web:1"})
		if err != nil {
			t.Fatal(err)
		}
		wantImage(t, text, store, idOf(t, image))
		if len(read) != want || store.asked != 1 {
			t.Errorf("read %v, with %d queries to the store, want %d reads and one query", read, store.asked, want)
		}
	}
}

// TestWholeArchives: an engine before 25 does not say which layer is which.
func TestWholeArchives(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "saved.tar")
	write(t, file, savedImage(t, layerTar(t, noise(2<<20))))
	store := newMemoryStore()
	text, opened, err := storeIn(t, store, newTransports(t), Reference{Transport: DockerArchive, Path: file})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Load(io.Discard, bytes.NewReader(text), archive.Options{}); err != nil || len(opened.Layers()) != 0 || len(store.layers) != 0 {
		t.Errorf("%v, with %d layers, of which %d are stored one by one", err, len(opened.Layers()), len(store.layers))
	}
}

// TestManySmallLayers: not more of them are in memory than is reasonable.
func TestManySmallLayers(t *testing.T) {
	t.Parallel()
	var layers []v1.Layer
	for n := range 80 {
		layers = append(layers, gzipped(t, noise(400<<10)+fmt.Sprint(n)))
	}
	image := imageOf(t, "amd64", layers...)
	store := newMemoryStore()
	text, _, err := storeIn(t, store, newTransports(t), layoutWith(t, image))
	if err != nil {
		t.Fatal(err)
	}
	wantImage(t, text, store, idOf(t, image))
	if len(text) > smallLayers+1<<20 || len(store.layers) == 0 || len(store.layers) > 60 {
		t.Errorf("the archive has %d bytes, and %d layers are stored one by one", len(text), len(store.layers))
	}
}

// TestLayersInZstd: not every engine reads them, so they are stored plain.
func TestLayersInZstd(t *testing.T) {
	t.Parallel()
	plain := layerTar(t, noise(2<<20))
	diffID, _, err := v1.SHA256(bytes.NewReader(plain))
	packer, err2 := zstd.NewWriter(nil)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	image := imageOf(t, "amd64", zstdLayer{static.NewLayer(packer.EncodeAll(plain, nil), types.OCILayerZStd), diffID})
	layout := layoutWith(t, image)
	for _, from := range []Reference{layout, {Transport: OCIArchive, Path: packedLayout(t, layout.Path)}} {
		store := newMemoryStore()
		text, opened, err := storeIn(t, store, newTransports(t), from)
		if err != nil {
			t.Fatal(err)
		}
		wantImage(t, text, store, idOf(t, image))
		before := store.sent
		if _, _, err := storeIn(t, store, newTransports(t), from); err != nil || store.sent != before {
			t.Errorf("%d bytes were sent again, %v", store.sent-before, err)
		}
		if stored := opened.Layers()[0]; string(stored.Digest) != diffID.String() || stored.DiffID != stored.Digest || stored.MediaType != string(types.OCIUncompressedLayer) {
			t.Errorf("stored as %+v", stored)
		}
	}
}

// TestLyingStore: what the store says of a layer is a project's own, but it must not make another image of this one.
func TestLyingStore(t *testing.T) {
	t.Parallel()
	image := imageOf(t, "amd64", gzipped(t, noise(2<<20)))
	from := layoutWith(t, image)
	for name, lie := range map[string]func(*StoredLayer){
		"diff id": func(layer *StoredLayer) {
			layer.DiffID = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
		},
		"size": func(layer *StoredLayer) { layer.Size++ },
		"type": func(layer *StoredLayer) { layer.MediaType = "" },
	} {
		store := newMemoryStore()
		if _, _, err := storeIn(t, store, newTransports(t), from); err != nil {
			t.Fatal(err)
		}
		for digest, layer := range store.layers {
			lie(&layer)
			store.layers[digest] = layer
		}
		text, opened, err := storeIn(t, store, newTransports(t), from)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wantImage(t, text, store, idOf(t, image))
		if opened.Metadata().Digest != digestOf(t, image) {
			t.Errorf("%s: the manifest has changed", name)
		}
	}
}

func digestOf(t *testing.T, image v1.Image) string {
	t.Helper()
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// TestDamagedLayersAreNotStored: neither those that are not what their digest says, nor those that are not what the
// configuration says.
func TestDamagedLayersAreNotStored(t *testing.T) {
	t.Parallel()
	good := layerTar(t, noise(2<<20))
	name := digest.FromBytes(good)
	other := slices.Clone(good)
	other[len(other)/2]++
	for kind, c := range map[string]struct {
		stored []byte
		diffID digest.Digest
		err    string
	}{
		"digest":  {other, name, "a layer of it is damaged: it is sha256:"},
		"diff id": {good, digest.FromString("another"), "its layer 1 is damaged: it is sha256:"},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["%s"]}}`, c.diffID)
			manifest := fmt.Appendf(nil, `[{"Config":"config.json","Layers":["blobs/sha256/%s"]}]`, name.Encoded())
			file := filepath.Join(t.TempDir(), "image.tar")
			write(t, file, tarOf(t, []entry{{"blobs/sha256/" + name.Encoded(), c.stored}, {"config.json", config}, {"manifest.json", manifest}}))
			store := newMemoryStore()
			_, _, err := storeIn(t, store, newTransports(t), Reference{Transport: DockerArchive, Path: file})
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if _, has := store.layers[name]; has != (kind == "diff id") { // such bytes are a layer, only not this image's
				t.Errorf("stored: %v", store.layers)
			}
		})
	}
}

// TestEntriesThatAreNoLayers: an archive may have files that no image needs.
func TestEntriesThatAreNoLayers(t *testing.T) {
	t.Parallel()
	good := layerTar(t, noise(2<<20))
	name := digest.FromBytes(good)
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["%s"]}}`, name)
	manifest := fmt.Appendf(nil, `[{"Config":"config.json","Layers":["blobs/sha256/%s"]}]`, name.Encoded())
	file := filepath.Join(t.TempDir(), "image.tar")
	write(t, file, tarOf(t, []entry{{"blobs/sha256/" + name.Encoded(), good}, {"notes", []byte(noise(2 << 20))}, {"config.json", config}, {"manifest.json", manifest}}))
	store := newMemoryStore()
	text, _, err := storeIn(t, store, newTransports(t), Reference{Transport: DockerArchive, Path: file})
	if err != nil {
		t.Fatal(err)
	}
	wantImage(t, text, store, string(digest.FromBytes(config)))
	if len(store.layers) != 1 {
		t.Errorf("stored %v", store.layers)
	}
}

// TestStoreFails: its error is the one that is told.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	from := layoutWith(t, imageOf(t, "amd64", gzipped(t, noise(2<<20)), gzipped(t, noise(3<<20))))
	for _, one := range []Reference{from, {Transport: OCIArchive, Path: packedLayout(t, from.Path)}} {
		store := newMemoryStore()
		store.fails = errors.New("the quota is exceeded")
		if _, _, err := storeIn(t, store, newTransports(t), one); !errors.Is(err, store.fails) {
			t.Errorf("error %v, want %v", err, store.fails)
		}
	}
}

// TestPathTwiceInLayers: Docker Engine would not load the image.
func TestPathTwiceInLayers(t *testing.T) {
	t.Parallel()
	layer := tarOf(t, []entry{{"dup", []byte("1")}, {"dup", []byte("2")}, {"large", []byte(noise(2 << 20))}})
	packed, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil })
	if err != nil {
		t.Fatal(err)
	}
	store := newMemoryStore()
	for range 2 { // the second time it would not be read again, if it was kept
		_, _, err = storeIn(t, store, newTransports(t), layoutWith(t, imageOf(t, "amd64", packed)))
		if err == nil || !strings.Contains(err.Error(), `its layer 1 has the path "dup" twice`) {
			t.Errorf("error %v", err)
		}
	}
}

// TestMostLayers: as many as an engine stores, most of them the same.
func TestMostLayers(t *testing.T) {
	t.Parallel()
	layers := slices.Repeat([]v1.Layer{gzipped(t, noise(1<<20)), gzipped(t, "")}, 62)
	image := imageOf(t, "amd64", append(layers, gzipped(t, "last"))...)
	store := newMemoryStore()
	text, _, err := storeIn(t, store, newTransports(t), layoutWith(t, image))
	if err != nil {
		t.Fatal(err)
	}
	if found := wantImage(t, text, store, idOf(t, image)); len(found.Layers) != 125 || len(store.layers) != 1 {
		t.Errorf("%d layers, of which %d are stored one by one", len(found.Layers), len(store.layers))
	}
}

// TestLayersFromAnotherStore: what one project has in layers, another gets in layers. What it has already is not read.
func TestLayersFromAnotherStore(t *testing.T) {
	t.Parallel()
	base, top := gzipped(t, noise(1<<20)), gzipped(t, noise(1<<20)+"top")
	image := imageOf(t, "amd64", base, top)
	from, to := newMemoryStore(), newMemoryStore()
	text, _, err := storeIn(t, from, newTransports(t), layoutWith(t, image))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := storeIn(t, to, newTransports(t), layoutWith(t, imageOf(t, "amd64", base))); err != nil {
		t.Fatal(err)
	}
	var read int
	transports := newTransports(t)
	transports.Glance = func(context.Context, string) (Source, error) {
		return FromArchive(Metadata{}, func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(text)), nil
		}, func(_ context.Context, layer archive.LeftOut) (io.ReadCloser, error) {
			read++
			return from.Open(layer)
		}), nil
	}
	copied, _, err := storeIn(t, to, transports, Reference{Transport: Glance, Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	wantImage(t, copied, to, idOf(t, image))
	if read != 1 || len(to.layers) != 2 {
		t.Errorf("%d layers were read, and %d are stored", read, len(to.layers))
	}
}
