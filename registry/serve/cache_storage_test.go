package serve

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/manifest/ocischema"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	storagemiddleware "github.com/distribution/distribution/v3/registry/storage/driver/middleware"
	"github.com/opencontainers/go-digest"

	"ndock/registry/config"
	"ndock/registry/gc"
	"ndock/registry/internal/registrytest"
	"ndock/registry/storage"
)

// manifestsInTurn gives one manifest after the other, and the last one again.
type manifestsInTurn struct {
	distribution.ManifestService
	give [][]byte
	then func() // after each
}

func (m *manifestsInTurn) Get(context.Context, digest.Digest, ...distribution.ManifestServiceOption) (distribution.Manifest, error) {
	next := m.give[0]
	m.give = m.give[min(1, len(m.give)-1):]
	defer m.then()
	manifest := &ocischema.DeserializedManifest{}
	return manifest, manifest.UnmarshalJSON(next)
}

// A manifest that is mended while a client reads it, by another's push or pull, is whole for that client, too.
func TestManifestIsMendedMeanwhile(t *testing.T) {
	good, bad := []byte(`{"schemaVersion":2,"layers":[]}`), []byte(`{"schemaVersion":2,"layers":[ ]}`)
	d := digest.FromBytes(good)
	for what, give := range map[string][][]byte{"mended": {bad, good}, "broken": {bad}} {
		for _, cached := range []bool{false, true} {
			driver := inmemory.New()
			s := &storage.Store{StorageDriver: driver, Log: slog.New(slog.DiscardHandler)}
			stored := &manifestsInTurn{give: give, then: func() { driver.PutContent(t.Context(), gc.BlobFile(d), good) }}
			var manifests distribution.ManifestService = &checkedManifests{stored, &checkedRepository{namedRepository{}, s, s.Log}}
			if cached {
				manifests = &upstreamManifests{stored, &upstreamRepository{namedRepository{}, &upstream{store: s, log: s.Log}}}
			}
			found, err := manifests.Get(t.Context(), d)
			if what == "mended" && (err != nil || !isOf(found, d)) || what == "broken" && err == nil {
				t.Errorf("%s, in a cache %v: %v, %v", what, cached, found, err)
			}
		}
	}
}

// noStorage fails at whatever it is asked.
type noStorage struct {
	storagedriver.StorageDriver
	asked int
}

func (n *noStorage) Stat(ctx context.Context, _ string) (storagedriver.FileInfo, error) {
	n.asked++
	return nil, cmp.Or(ctx.Err(), errors.New("it is gone"))
}

// A cache does not look twice at a manifest that is well, and has nothing to say in its log of a client that leaves.
func TestCacheLooksOnlyAtDamage(t *testing.T) {
	good, bad := []byte(`{"schemaVersion":2,"layers":[]}`), []byte(`{"schemaVersion":2,"layers":[ ]}`)
	for what, content := range map[string][]byte{"well": good, "damaged": bad} {
		log, none := &bytes.Buffer{}, &noStorage{}
		s := &storage.Store{StorageDriver: none, Log: slog.New(slog.NewTextHandler(log, nil))}
		ctx, leave := context.WithCancel(t.Context())
		m := &upstreamManifests{&manifestsInTurn{give: [][]byte{content}, then: leave}, &upstreamRepository{namedRepository{}, &upstream{store: s, log: s.Log}}}
		found, err := m.Get(ctx, digest.FromBytes(good))
		if what == "well" && (err != nil || !isOf(found, digest.FromBytes(good)) || none.asked > 0) {
			t.Errorf("%s: %v, %v, looked %d times", what, found, err, none.asked)
		}
		if log.Len() > 0 {
			t.Errorf("%s: the log says %s", what, log)
		}
	}
}

// remoteStorage reads over the network, as S3 does.
type remoteStorage struct {
	storagedriver.StorageDriver
	url string
}

func (r *remoteStorage) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// What a cache has in a storage over the network is no answer of its upstream, and may be as large as it is.
func TestRemoteStorageOfACache(t *testing.T) {
	dir := t.TempDir()
	network := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(network.Close)
	origin := serve(t, config.Options{Data: dir})
	blob := origin.pushBlob(t, "ok", make([]byte, 2*maxUpstreamAnswer))
	err := storagemiddleware.Register(network.URL, func(_ context.Context, driver storagedriver.StorageDriver, _ map[string]any) (storagedriver.StorageDriver, error) {
		return &remoteStorage{StorageDriver: driver, url: network.URL}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	text := "version: 0.1\nstorage: {filesystem: {rootdirectory: " + dir + "}}\nproxy: {remoteurl: " + newFakeUpstream(t).URL + "}\n"
	_, c, err := config.Options{Config: registrytest.Write(t, []byte(text))}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	c.Middleware = map[string][]configuration.Middleware{"storage": {{Name: network.URL}}}
	log := slog.New(slog.DiscardHandler)
	s, err := openStorage(config.Options{Log: log}, c)
	if err != nil {
		t.Fatal(err)
	}
	cache, end, err := newCache(t.Context(), c, s, 0, log)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	clients := httptest.NewServer(cache)
	defer clients.Close()
	answer, err := http.Get(clients.URL + "/v2/ok/blobs/" + blob)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got, err := io.ReadAll(answer.Body); len(got) != 2*maxUpstreamAnswer || err != nil {
		t.Errorf("%d bytes of %d came: %v, %.300s", len(got), 2*maxUpstreamAnswer, err, got)
	}
}
