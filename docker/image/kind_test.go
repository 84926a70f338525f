package image

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"ndock/docker/archive"
)

// TestMissingPlatform: an image without a platform gets that of its index, or else the host's, with a notice. It is
// refused if its index states another platform.
func TestMissingPlatform(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		index     *v1.Platform
		told, err string
	}{
		"no index":      {nil, "states no platform; ndock assumes linux/amd64", ""},
		"an index":      {&v1.Platform{OS: "linux", Architecture: "amd64"}, "ndock assumes linux/amd64", ""},
		"another index": {&v1.Platform{OS: "linux", Architecture: "s390x"}, "ndock assumes linux/s390x", "it is for linux/s390x, not for linux/amd64"},
	} {
		image := imageOf(t, "amd64", gzipped(t, "hello"))
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		config = config.DeepCopy()
		config.OS, config.Architecture = "", ""
		if image, err = mutate.ConfigFile(image, config); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "layout")
		path, err := openLayout(dir)
		var options []layout.Option
		if c.index != nil {
			options = append(options, layout.WithPlatform(*c.index))
		}
		if err := errors.Join(err, path.AppendImage(image, options...)); err != nil {
			t.Fatal(err)
		}
		var told []string
		transports := Transports{Platform: archive.Platform{OS: "linux", Architecture: "amd64"}, Strict: true, Notice: func(text string) { told = append(told, text) }}
		_, err = transports.Find(t.Context(), Reference{Transport: OCILayout, Path: dir})
		if len(told) != 1 || !strings.Contains(told[0], c.told) {
			t.Errorf("%s: told %q", name, told)
		}
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", name, err, c.err)
		}
	}
}

// TestNoImageInALayout: a chart is refused before anything is written.
func TestNoImageInALayout(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "layout")
	path, err := openLayout(dir)
	chart := mutate.ConfigMediaType(imageOf(t, "amd64", gzipped(t, "hello")), types.MediaType("application/vnd.cncf.helm.config.v1+json"))
	if err := errors.Join(err, path.AppendImage(chart)); err != nil {
		t.Fatal(err)
	}
	_, err = Transports{Stdout: io.Discard}.Find(t.Context(), Reference{Transport: OCILayout, Path: dir})
	if err == nil || !strings.Contains(err.Error(), "it is no image but a Helm chart") {
		t.Errorf("error %v", err)
	}
}

// TestManyLayers: an image with more layers than an engine stores is copied, with a notice.
func TestManyLayers(t *testing.T) {
	t.Parallel()
	layer := gzipped(t, "hello")
	for n, want := range map[int]int{125: 0, 126: 1} {
		layers := make([]v1.Layer, n)
		for i := range layers {
			layers[i] = layer
		}
		dir := filepath.Join(t.TempDir(), "layout")
		path, err := openLayout(dir)
		if err := errors.Join(err, path.AppendImage(imageOf(t, "amd64", layers...))); err != nil {
			t.Fatal(err)
		}
		var told []string
		transports := Transports{Platform: archive.Platform{OS: "linux", Architecture: "amd64"}, Notice: func(text string) { told = append(told, text) }}
		if _, err := transports.Find(t.Context(), Reference{Transport: OCILayout, Path: dir}); err != nil || len(told) != want {
			t.Errorf("%d layers: told %q, %v", n, told, err)
		}
		if want == 1 && !strings.Contains(told[0], "has 126 layers, and Docker Engine stores at most 125") {
			t.Errorf("told %q", told)
		}
	}
}

// TestConfigurationInARegistry: the image of a registry is checked like one in an archive. Its stated sizes are not
// trusted.
func TestConfigurationInARegistry(t *testing.T) {
	t.Parallel()
	layer := gzipped(t, "hello")
	id, err := layer.DiffID()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		settings string
		size     int64 // that the manifest says; 0 for the right one
		want     string
	}{
		{`{"Entrypoint":"/bin/sh"}`, 0, ""},
		{`{"Volumes":["/data"]}`, 0, `its field config.Volumes has a list where an object should be, as {"/data": {}}`},
		{`{`, 0, "its configuration: it is no JSON"},
		{`{}`, -1, "its configuration has -1 bytes"},
		{`{}`, 5 << 20, "its configuration has 5242880 bytes, and at most 4194304 are allowed"},
	} {
		at := newRegistry(t, nil) + "/site/web:1"
		config := `{"os":"linux","architecture":"amd64","config":` + c.settings + `,"rootfs":{"type":"layers","diff_ids":["` + id.String() + `"]}}`
		putImage(t, at, config, c.size, layer)
		to := filepath.Join(t.TempDir(), "layout")
		_, err := copied(t, newTransports(t), "docker://"+at, "docker-archive:"+to+".tar")
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.settings, err, c.want)
		}
	}
}

// putImage puts an image with this configuration into a registry, and states this size of the configuration.
func putImage(t *testing.T, at, config string, size int64, layer v1.Layer) {
	t.Helper()
	ref, err := name.ParseReference(at)
	if err != nil {
		t.Fatal(err)
	}
	blob := static.NewLayer([]byte(config), types.DockerConfigJSON)
	if err := errors.Join(remote.WriteLayer(ref.Context(), blob), remote.WriteLayer(ref.Context(), layer)); err != nil {
		t.Fatal(err)
	}
	if size == 0 {
		size = int64(len(config))
	}
	described := func(of v1.Layer, kind types.MediaType, size int64) string {
		digest, err := of.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, kind, digest, size)
	}
	layerSize, err := layer.Size()
	if err != nil {
		t.Fatal(err)
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, types.DockerManifestSchema2,
		described(blob, types.DockerConfigJSON, size), described(layer, types.DockerLayer, layerSize))
	if err := remote.Put(ref, manifestBytes{[]byte(manifest), types.DockerManifestSchema2}); err != nil {
		t.Fatal(err)
	}
}

// TestSeveralNamesInALayout: a layout with one image under two names has one image.
func TestSeveralNamesInALayout(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "layout")
	path, err := openLayout(dir)
	image := imageOf(t, "amd64", gzipped(t, "hello"))
	for _, name := range []string{"web:1", "web:stable"} {
		err = errors.Join(err, path.AppendImage(image, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": name})))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "web:stable"} {
		if _, err := newTransports(t).Find(t.Context(), Reference{Transport: OCILayout, Path: dir, Name: name}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestLinkedLayout: a layout whose blobs are links, as Bazel's rules make them, is read. What a link leads to must
// have the right digest.
func TestLinkedLayout(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "layout")
	path, err := openLayout(dir)
	image := imageOf(t, "amd64", gzipped(t, "hello"))
	if err := errors.Join(err, path.AppendImage(image)); err != nil {
		t.Fatal(err)
	}
	id, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	linkBlobs(t, dir)
	out := filepath.Join(t.TempDir(), "out.tar")
	if found, err := copied(t, newTransports(t), "oci:"+dir, "docker-archive:"+out); err != nil || found.ID != id.String() {
		t.Errorf("%s, %v", found.ID, err)
	}
	at := newRegistry(t, nil) + "/site/web:1"
	if err := copyTo(t, newTransports(t), "oci:"+dir, "docker://"+at); err != nil {
		t.Error(err)
	} else if err := pushed(t, at); err != nil {
		t.Error(err)
	}
	write(t, filepath.Join(dir, "secret"), []byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}`))
	blob := filepath.Join(dir, "blobs", "sha256", id.Hex)
	if err := errors.Join(os.Remove(blob), os.Symlink("../../secret", blob)); err != nil {
		t.Fatal(err)
	}
	if _, err := copied(t, newTransports(t), "oci:"+dir, "docker-archive:"+out); err == nil || !strings.Contains(err.Error(), id.String()+" is damaged") {
		t.Errorf("a link to something else: %v", err)
	}
}

// linkBlobs moves a layout's blobs to another directory and leaves links to them.
func linkBlobs(t *testing.T, dir string) {
	t.Helper()
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil || len(blobs) != 3 {
		t.Fatal(blobs, err)
	}
	for _, blob := range blobs {
		real := filepath.Join(dir, filepath.Base(blob))
		if err := errors.Join(os.Rename(blob, real), os.Symlink(real, blob)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNoLayers: the manifest of an image without layers has an empty list of layers.
func TestNoLayers(t *testing.T) {
	t.Parallel()
	at, dir := newRegistry(t, nil)+"/site/web:1", t.TempDir()
	for kind, layers := range map[string]string{"null": "null", "empty": "[]"} {
		file := filepath.Join(dir, kind+".tar")
		write(t, file, tarOf(t, []entry{
			{"config.json", []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)},
			{"manifest.json", []byte(`[{"Config":"config.json","RepoTags":null,"Layers":` + layers + `}]`)},
		}))
		if err := copyTo(t, newTransports(t), "docker-archive:"+file, "docker://"+at); err != nil {
			t.Fatal(err)
		}
		ref, err := name.ParseReference(at)
		if err != nil {
			t.Fatal(err)
		}
		current, err := remote.Get(ref)
		if err != nil || !strings.Contains(string(current.Manifest), `"layers":[]`) {
			t.Errorf("%s: %v, %v", kind, current, err)
		}
	}
}

// TestVariants: of images for amd64 and amd64/v3, a host gets the one without a variant, from any source and in any
// order. If no platform fits, the error lists those that there are.
func TestVariants(t *testing.T) {
	t.Parallel()
	plain, third := imageOf(t, "amd64", gzipped(t, "plain")), imageOf(t, "amd64", gzipped(t, "v3"))
	want, err := plain.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	addendum := func(image v1.Image, architecture, variant string) mutate.IndexAddendum {
		return mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture, Variant: variant}}}
	}
	for name, index := range map[string]v1.ImageIndex{
		"first": mutate.AppendManifests(empty.Index, addendum(plain, "amd64", ""), addendum(third, "amd64", "v3")),
		"last":  mutate.AppendManifests(empty.Index, addendum(third, "amd64", "v3"), addendum(plain, "amd64", "")),
	} {
		at, dir := newRegistry(t, nil)+"/site/web:1", filepath.Join(t.TempDir(), "layout")
		putIndex(t, at, index)
		if _, err := layout.Write(dir, index); err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{"docker://" + at, "oci:" + dir, "oci-archive:" + packedLayout(t, dir)} {
			if found, err := read(t.Context(), newTransports(t), from); err != nil || found.ID != want.String() {
				t.Errorf("%s, %s: %s, %v", name, from, found.ID, err)
			}
		}
	}
	at := newRegistry(t, nil) + "/site/web:1"
	putIndex(t, at, mutate.AppendManifests(empty.Index, addendum(plain, "s390x", ""), addendum(third, "arm", "v7")))
	_, err = newTransports(t).Find(t.Context(), Reference{Transport: Registry, Name: at})
	if err == nil || !strings.Contains(err.Error(), "it has no image for linux/amd64; it has images for linux/s390x, linux/arm/v7") {
		t.Errorf("error %v", err)
	}
}

func putIndex(t *testing.T, at string, index v1.ImageIndex) {
	t.Helper()
	ref, err := name.ParseReference(at)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
}

// TestOldManifests: a manifest that is not an image's, or is of Docker before 1.10, is refused with that reason.
func TestOldManifests(t *testing.T) {
	t.Parallel()
	for kind, want := range map[types.MediaType]string{
		types.DockerManifestSchema1:       "before Docker 1.10 (schema 1)",
		types.DockerManifestSchema1Signed: "before Docker 1.10 (schema 1)",
		"text/plain":                      "before Docker 1.10 (schema 1)",
		types.OCIManifestSchema1:          "its manifest names no configuration",
	} {
		at := newRegistry(t, nil) + "/site/web:1"
		ref, err := name.ParseReference(at)
		if err != nil {
			t.Fatal(err)
		}
		text := `{"schemaVersion":1,"name":"site/web","tag":"1","architecture":"amd64","fsLayers":[],"history":[]}`
		if kind == types.OCIManifestSchema1 {
			text = `{"schemaVersion":2,"layers":[]}`
		}
		if err := remote.Put(ref, manifestBytes{[]byte(text), kind}); err != nil {
			t.Fatal(err)
		}
		if _, err := newTransports(t).Find(t.Context(), Reference{Transport: Registry, Name: at}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", kind, err, want)
		}
	}
}

// TestForeignLayersRefused: the error for an image whose foreign layers the registry requires says so.
func TestForeignLayersRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "layout")
	path, err := openLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	layer := static.NewLayer([]byte("windows"), types.DockerForeignLayer)
	image, err := mutate.Append(imageOf(t, "amd64"), mutate.Addendum{Layer: layer, MediaType: types.DockerForeignLayer, URLs: []string{"https://example.com/windows"}})
	if err := errors.Join(err, path.AppendImage(image)); err != nil {
		t.Fatal(err)
	}
	at := newRegistry(t, refusing("PUT", "/manifests/", 400, `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}`, 99)) + "/site/web:1"
	err = copyTo(t, newTransports(t), "oci:"+dir, "docker://"+at)
	var hinted interface{ Hint() string }
	if !asHinted(err, &hinted) || !strings.Contains(hinted.Hint(), "not to be passed on") {
		t.Errorf("error %v", err)
	}
}
