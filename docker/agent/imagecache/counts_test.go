package imagecache_test

import (
	"errors"
	"io"
	"mime/multipart"
	"strings"
	"testing"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/agent/diskspace"
	"ndock/docker/agent/imagecache"
	"ndock/docker/engine/enginetest"
)

// load sends the cache an image with these of its layers.
func load(t *testing.T, cache *imagecache.Cache, of layered, layers ...int) (bytes int64, err error) {
	t.Helper()
	kind, body := of.body(t, layers...)
	_, boundary, _ := strings.Cut(kind, "boundary=")
	received := cache.Received(io.NopCloser(strings.NewReader(body)))
	from, err := imagecache.Parts(multipart.NewReader(received, boundary), func() {})
	if err != nil {
		t.Fatal(err)
	}
	return int64(len(body)), cache.Load(t.Context(), enginetest.ImageID, from, 0)
}

// TestCounts: what was loaded, which layers of it were sent, and what failed; what is only asked for again has not.
func TestCounts(t *testing.T) {
	h := newHost(t)
	cache := imagecache.New(h.Engine, t.TempDir(), config.Default(), diskspace.New(1<<30), agenttest.Quiet())
	first, second := layeredOf(t, "one", "two"), layeredOf(t, "one", "two", "three")
	var want imagecache.Counts
	check := func(what string, bytes int64) {
		t.Helper()
		want.Bytes += bytes
		if got := cache.Counts(); got.Bytes > want.Bytes || got.Bytes < want.Bytes-64 { // the last boundary need not be read
			t.Errorf("%s: %d bytes, want %d", what, got.Bytes, want.Bytes)
		} else if want.Bytes = got.Bytes; got != want {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	bytes, err := load(t, cache, first, 1)
	if agent.CodeOf(err) != agent.LayersLeftOut {
		t.Errorf("got %v", err)
	}
	check("a layer is left out", bytes)
	if bytes, err = load(t, cache, first, 1, 2); err != nil {
		t.Fatal(err)
	}
	want.Loaded, want.LayersSent = 1, 2
	check("all are sent", bytes)
	h.has(first) // and not what was loaded just now, so that it is loaded again
	if bytes, err = load(t, cache, second, 3); err != nil {
		t.Fatal(err)
	}
	want.Loaded, want.LayersSent, want.LayersPresent = 2, 3, 2
	check("one more is sent", bytes)
	h.has(first)
	h.FailOnce["ImageLoad"] = errors.New("no space left on device")
	if bytes, err = load(t, cache, second, 3); err == nil {
		t.Error("it was loaded")
	}
	want.Failed = 1
	check("it fails", bytes)
	size, err := cache.Size(t.Context())
	if err != nil || size.Images != 1 {
		t.Errorf("got %+v, %v", size, err)
	}
}
