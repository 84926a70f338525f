package registry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	storagemiddleware "github.com/distribution/distribution/v3/registry/storage/driver/middleware"
)

// TestStoreIsOutermost has each layer around the storage in its place: distribution puts one around the other in the
// order in which they are configured.
func TestStoreIsOutermost(t *testing.T) {
	_, c, err := ServeOptions{Listen: "127.0.0.1:0", Data: t.TempDir()}.complete()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newStore(c, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range c.Middleware["storage"] {
		names = append(names, one.Name)
	}
	if len(names) != 2 || names[0] != "ndock-durable" || names[1] != middlewareName {
		t.Errorf("around the storage there are %q", names)
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
	origin := serve(t, ServeOptions{Data: dir})
	blob := origin.pushBlob(t, "ok", make([]byte, 2*maxUpstreamAnswer))
	err := storagemiddleware.Register(network.URL, func(_ context.Context, driver storagedriver.StorageDriver, _ map[string]any) (storagedriver.StorageDriver, error) {
		return &remoteStorage{StorageDriver: driver, url: network.URL}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	config := "version: 0.1\nstorage: {filesystem: {rootdirectory: " + dir + "}}\nproxy: {remoteurl: " + newFakeUpstream(t).URL + "}\n"
	_, c, err := ServeOptions{Config: write(t, []byte(config))}.complete()
	if err != nil {
		t.Fatal(err)
	}
	c.Middleware = map[string][]configuration.Middleware{"storage": {{Name: network.URL}}}
	log := slog.New(slog.DiscardHandler)
	s, err := newStore(c, log)
	if err != nil {
		t.Fatal(err)
	}
	cache, end, err := newCache(t.Context(), c, s, 0)
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
