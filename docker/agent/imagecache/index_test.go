package imagecache_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/archive"
)

// bundleOf is an image whose layers are left out, as an index for several platforms names it.
func bundleOf(composed archive.Composed, architecture string) archive.Bundle {
	b := archive.Bundle{Descriptor: described(ocispec.MediaTypeImageManifest, composed.Manifest), Manifest: composed.Manifest}
	b.Descriptor.Platform = &ocispec.Platform{OS: "linux", Architecture: architecture}
	b.Blobs = []archive.BundleBlob{{Descriptor: described("", composed.Config), Content: composed.Config}}
	for _, layer := range composed.Layers {
		b.Blobs = append(b.Blobs, archive.BundleBlob{Descriptor: ocispec.Descriptor{Digest: layer.Digest, Size: layer.Size}, Image: layer.Image})
	}
	return b
}

func described(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// indexOf is the archive of an index of these.
func indexOf(t *testing.T, all ...archive.Bundle) string {
	t.Helper()
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	for _, one := range all {
		index.Manifests = append(index.Manifests, one.Descriptor)
	}
	text, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	return packedOf(t, archive.Bundle{Descriptor: described(index.MediaType, text), Manifest: text, Manifests: all})
}

func packedOf(t *testing.T, b archive.Bundle) string {
	t.Helper()
	var packed bytes.Buffer
	if err := archive.ComposeBundle(&packed, b); err != nil {
		t.Fatal(err)
	}
	return packed.String()
}

// TestIndexOfPlatforms: of an index for several platforms a host is sent the layers of its own image, and boots that.
func TestIndexOfPlatforms(t *testing.T) {
	own, ownComposed := composedOf(t, runtime.GOARCH, "base", "own")
	_, otherComposed := composedOf(t, "mips64le", "base", "other", "more")
	own.archive = indexOf(t, bundleOf(otherComposed, "mips64le"), bundleOf(ownComposed, runtime.GOARCH))

	h := newHost(t)
	status, body := h.put("application/x-tar", own.archive)
	agenttest.WantFault(t, status, body, 409, agent.LayersLeftOut)
	var fault agent.Fault
	want := own.list().Layers
	for n := range want {
		want[n].Checksum = "" // which only Glance knows
	}
	if err := json.Unmarshal([]byte(body), &fault); err != nil || !slices.Equal(fault.Layers, want) {
		t.Errorf("got %v, %s, want the layers %v", err, body, want)
	}
	h.loaded(own)
	if sent := fmt.Sprint(h.sent); !strings.Contains(sent, string(ownComposed.Config)) || strings.Contains(sent, "mips64le") {
		t.Errorf("the engine was sent %s", sent)
	}
}

// TestNoImageToBoot: who boots what is no image, or none for this host, hears what it is.
func TestNoImageToBoot(t *testing.T) {
	_, other := composedOf(t, "mips64le", "other")
	config, files := []byte(`{"name":"web"}`), []byte("the chart's files")
	chart := archive.Bundle{Blobs: []archive.BundleBlob{
		{Descriptor: described("application/vnd.cncf.helm.config.v1+json", config), Content: config},
		{Descriptor: described("application/vnd.cncf.helm.chart.content.v1.tar+gzip", files), Image: "image-1"},
	}}
	manifest, err := json.Marshal(ocispec.Manifest{Config: chart.Blobs[0].Descriptor, Layers: []ocispec.Descriptor{chart.Blobs[1].Descriptor}})
	if err != nil {
		t.Fatal(err)
	}
	chart.Manifest, chart.Descriptor = manifest, described(ocispec.MediaTypeImageManifest, manifest)
	for name, c := range map[string]struct{ packed, says string }{
		"a chart":             {packedOf(t, chart), "it is no image but a Helm chart"},
		"for other platforms": {indexOf(t, bundleOf(other, "mips64le"), bundleOf(other, "s390x")), "its index has 0 images for linux/" + runtime.GOARCH + ", and one is wanted; it has images for linux/mips64le, linux/s390x"},
	} {
		h := newHost(t)
		status, body := h.put("application/x-tar", c.packed)
		if agenttest.WantFault(t, status, body, 422, agent.UnusableImage); !strings.Contains(body, c.says) || len(h.Images) > 0 {
			t.Errorf("%s: got %s and the images %v", name, body, h.Images)
		}
	}
}
