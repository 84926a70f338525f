package archive

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestMissingPlatform: a platform that the configuration lacks is taken from the index, or else from the host.
func TestMissingPlatform(t *testing.T) {
	t.Parallel()
	layer := tinyLayer()
	config := configOf(layer)
	docker := func(config string) []byte {
		return pack(t, entry{name: "layer.tar", content: string(layer)}, entry{name: "config.json", content: config},
			entry{name: "manifest.json", content: `[{"Config":"config.json","Layers":["layer.tar"]}]`})
	}
	without := func(keys ...string) string {
		for _, key := range keys {
			config = strings.Replace(config, key, "", 1)
		}
		return config
	}
	for name, c := range map[string]struct {
		packed  []byte
		want    string
		guessed bool
	}{
		"all there":    {docker(config), "linux/amd64", false},
		"another":      {docker(strings.Replace(config, "amd64", "s390x", 1)), "linux/s390x", false},
		"no system":    {docker(strings.Replace(config, `"os":"linux",`, "", 1)), "linux/amd64", true},
		"no machine":   {docker(strings.Replace(config, `"architecture":"amd64",`, "", 1)), "linux/amd64", true},
		"nothing":      {docker(without(`"architecture":"amd64",`, `"os":"linux",`)), "linux/amd64", true},
		"an index":     {layoutWithoutPlatform(t, layer, `{"os":"linux","architecture":"arm","variant":"v7"}`), "linux/arm/v7", true},
		"and no index": {layoutWithoutPlatform(t, layer, `null`), "linux/amd64", true},
	} {
		found, err := Load(io.Discard, bytes.NewReader(c.packed), checks())
		if err != nil || found.Platform.String() != c.want || found.PlatformAssumed != c.guessed {
			t.Errorf("%s: %s, guessed %v, %v; want %s", name, found.Platform, found.PlatformAssumed, err, c.want)
		}
	}
}

// layoutWithoutPlatform returns an OCI layout of an image whose configuration has no platform. Its index states this
// one.
func layoutWithoutPlatform(t *testing.T, layer []byte, platform string) []byte {
	t.Helper()
	var entries []entry
	blob := func(content []byte) map[string]any {
		sum := sumOf(content)
		entries = append(entries, entry{name: blobPath(sum), content: string(content)})
		return map[string]any{"digest": sum, "size": len(content)}
	}
	config := blob([]byte(`{"rootfs":{"type":"layers","diff_ids":["` + sumOf(layer) + `"]}}`))
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "config": config, "layers": []any{blob(zip(t, layer))}})
	if err != nil {
		t.Fatal(err)
	}
	described := blob(manifest)
	described["platform"] = json.RawMessage(platform)
	index, err := json.Marshal(map[string]any{"manifests": []any{described}})
	if err != nil {
		t.Fatal(err)
	}
	return pack(t, append(entries, entry{name: "index.json", content: string(index)})...)
}

// TestNoImage: the error for an artifact that is not an image says what it is.
func TestNoImage(t *testing.T) {
	t.Parallel()
	const image, docker = ocispec.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json"
	for _, c := range []struct{ artifact, config, layer, want string }{
		{"", image, ocispec.MediaTypeImageLayerGzip, ""},
		{"", docker, "application/vnd.docker.image.rootfs.diff.tar.gzip", ""},
		{"", docker, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", ""},
		{"", "", "", ""},
		{"", "application/octet-stream", "application/octet-stream", ""},
		{"", "application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "it is no image but a Helm chart ("},
		{"", image, "application/vnd.dev.cosign.simplesigning.v1+json", "it is no image but a signature ("},
		{"application/vnd.cncf.notary.signature", "application/vnd.oci.empty.v1+json", "application/jose+json", "it is no image but a signature ("},
		{"", image, "application/vnd.in-toto+json", "it is no image but an attestation ("},
		{"application/spdx+json", "application/vnd.oci.empty.v1+json", "application/spdx+json", "it is no image but an SBOM ("},
		{"", image, "text/spdx+json", "it is no image but an SBOM ("},
		{"", "application/vnd.wasm.config.v0+json", "application/wasm", "it is no image but a WebAssembly module ("},
		{"", "application/vnd.docker.plugin.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip", "it is no image but a Docker plugin ("},
		{"", "application/vnd.buildkit.cacheconfig.v0", ocispec.MediaTypeImageLayerGzip, "it is no image but a cache of BuildKit's ("},
		{"", "application/vnd.example.config", "application/vnd.example", `it is no image but something else ("application/vnd.example.config")`},
		{"", image, ocispec.MediaTypeImageLayerGzip + "+encrypted", "its layers are encrypted"},
	} {
		err := CheckImageManifest(ocispec.Manifest{ArtifactType: c.artifact, Config: ocispec.Descriptor{MediaType: c.config}, Layers: []ocispec.Descriptor{{MediaType: c.layer}}})
		if c.want != "" {
			wantRefusal(t, err, c.want)
		} else if err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestMatches: the kernel's names of architectures match, as in Docker.
func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		one, other Platform
		want       bool
	}{
		{Platform{"linux", "amd64", ""}, Platform{"linux", "x86_64", ""}, true},
		{Platform{"linux", "arm64", ""}, Platform{"linux", "aarch64", "v8"}, true},
		{Platform{"linux", "arm64", "v9"}, Platform{"linux", "arm64", "v8"}, false},
		{Platform{"linux", "amd64", ""}, Platform{"linux", "aarch64", ""}, false},
		{Platform{"linux", "amd64", ""}, Platform{"windows", "x86_64", ""}, false},
	} {
		if got := c.one.Matches(c.other); got != c.want {
			t.Errorf("%s and %s: %v", c.one, c.other, got)
		}
	}
}

// TestHugeDescriptions: manifests and configurations from other sources have the same limit as those in archives.
func TestHugeDescriptions(t *testing.T) {
	t.Parallel()
	huge := []byte(`{"schemaVersion":2` + strings.Repeat(" ", DescriptionLimit) + `}`)
	_, manifest := ParseManifest(huge)
	_, index := ParseIndex(huge)
	_, config := ParseConfig(huge)
	for name, err := range map[string]error{"manifest": manifest, "index": index, "configuration": config} {
		if err == nil || !strings.Contains(err.Error(), "it has 4194323 bytes, more than any image needs") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
