package storage

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/distribution/distribution/v3/manifest/ocischema"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	storagemiddleware "github.com/distribution/distribution/v3/registry/storage/driver/middleware"
	"github.com/opencontainers/go-digest"

	"ndock/registry/config"
	"ndock/registry/gc"
)

// TestStoreIsOutermost has each layer around the storage in its place: distribution puts one around the other in the
// order in which they are configured.
func TestStoreIsOutermost(t *testing.T) {
	_, c, err := config.Options{Listen: "127.0.0.1:0", Data: t.TempDir()}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(c, 0, 0, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range c.Middleware["storage"] {
		names = append(names, one.Name)
	}
	if len(names) != 2 || names[0] != fsyncName || names[1] != storeName {
		t.Errorf("around the storage there are %q", names)
	}
}

// A cache removes no manifest that another client has mended by now.
func TestCacheRemovesOnlyDamage(t *testing.T) {
	good := []byte(`{"schemaVersion":2,"layers":[]}`)
	d, manifest := digest.FromBytes(good), &ocischema.DeserializedManifest{}
	if err := manifest.UnmarshalJSON(good); err != nil {
		t.Fatal(err)
	}
	storage := &slowLooks{StorageDriver: inmemory.New(), good: good}
	s := &Store{StorageDriver: storage, Log: slog.New(slog.DiscardHandler), quota: newQuota(0, 0, storage)}
	for range 200 {
		if err := s.PutContent(t.Context(), gc.BlobFile(d), []byte("damaged")); err != nil {
			t.Fatal(err)
		}
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() { s.DropDamaged(t.Context(), d) })
			clients.Go(func() {
				if err := s.Repair(t.Context(), manifest); err != nil {
					t.Error(err)
				}
			})
		}
		clients.Wait()
	}
	if n := storage.removed.Load(); n > 0 {
		t.Errorf("%d were removed", n)
	}
}

// A store keeps its storage when a cache whose upstream is back makes a second registry, while the first one serves.
func TestStoreKeepsItsStorage(t *testing.T) {
	_, c, err := config.Options{Listen: "127.0.0.1:0", Data: t.TempDir()}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(c, 0, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for second := range 2 {
		got, err := storagemiddleware.Get(t.Context(), storeName, map[string]any{"store": s}, inmemory.New())
		if err == nil && second == 0 {
			err = got.PutContent(t.Context(), "/a", []byte("a"))
		}
		if err != nil || got != storagedriver.StorageDriver(s) {
			t.Errorf("a registry gets %v, %v", got, err)
		}
		if _, err := s.GetContent(t.Context(), "/a"); err != nil {
			t.Error(err)
		}
	}
}

// A request that ends when its upload was removed leaves nothing of it behind.
func TestUploadIsRemovedMeanwhile(t *testing.T) {
	upload := gc.RootRepositories + "/web/a/_uploads/0b1f4b5e-6ad5-4a5b-8f6e-6e3a0e8b7a11"
	storage := &removedMeanwhile{StorageDriver: inmemory.New(), upload: upload}
	s := &Store{StorageDriver: storage, Log: slog.New(slog.DiscardHandler), quota: newQuota(1024, 10, storage)}
	for _, file := range []string{upload + "/startedat", upload + "/hashstates/sha256/1"} {
		if err := s.PutContent(t.Context(), file, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := storage.Stat(t.Context(), upload); !notFound(err) {
		t.Errorf("the upload is there: %v", err)
	}
}

// removedMeanwhile removes an upload while the state of its digest is written.
type removedMeanwhile struct {
	storagedriver.StorageDriver
	upload string
}

func (r *removedMeanwhile) PutContent(ctx context.Context, path string, content []byte) error {
	if strings.Contains(path, "/hashstates/") {
		if err := r.Delete(ctx, r.upload); err != nil {
			return err
		}
	}
	return r.StorageDriver.PutContent(ctx, path, content)
}

// slowLooks lets others go on between a look at a manifest and what is done then.
type slowLooks struct {
	storagedriver.StorageDriver
	good    []byte
	removed atomic.Int64 // of the good ones
}

func (s *slowLooks) GetContent(ctx context.Context, path string) ([]byte, error) {
	defer runtime.Gosched()
	return s.StorageDriver.GetContent(ctx, path)
}

func (s *slowLooks) Delete(ctx context.Context, path string) error {
	if content, err := s.StorageDriver.GetContent(ctx, path); err == nil && bytes.Equal(content, s.good) {
		s.removed.Add(1)
	}
	return s.StorageDriver.Delete(ctx, path)
}
