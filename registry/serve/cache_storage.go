package serve

import (
	"context"
	"io"
	"sync"

	"github.com/distribution/distribution/v3/configuration"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	storagemiddleware "github.com/distribution/distribution/v3/registry/storage/driver/middleware"

	"ndock/registry/config"
	"ndock/registry/storage"
)

// GetContent implements storagedriver.StorageDriver.
func (u cacheStorage) GetContent(ctx context.Context, path string) ([]byte, error) {
	return u.StorageDriver.GetContent(notFromUpstream(ctx), path)
}

// PutContent implements storagedriver.StorageDriver.
func (u cacheStorage) PutContent(ctx context.Context, path string, content []byte) error {
	return u.StorageDriver.PutContent(notFromUpstream(ctx), path, content)
}

// Reader implements storagedriver.StorageDriver.
func (u cacheStorage) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	return u.StorageDriver.Reader(notFromUpstream(ctx), path, offset)
}

// Writer implements storagedriver.StorageDriver.
func (u cacheStorage) Writer(ctx context.Context, path string, more bool) (storagedriver.FileWriter, error) {
	w, err := u.StorageDriver.Writer(notFromUpstream(ctx), path, more)
	if err != nil {
		return nil, err
	}
	return cacheStorageWriter{w}, nil
}

// Stat implements storagedriver.StorageDriver.
func (u cacheStorage) Stat(ctx context.Context, path string) (storagedriver.FileInfo, error) {
	return u.StorageDriver.Stat(notFromUpstream(ctx), path)
}

// List implements storagedriver.StorageDriver.
func (u cacheStorage) List(ctx context.Context, path string) ([]string, error) {
	return u.StorageDriver.List(notFromUpstream(ctx), path)
}

// Move implements storagedriver.StorageDriver.
func (u cacheStorage) Move(ctx context.Context, from, to string) error {
	return u.StorageDriver.Move(notFromUpstream(ctx), from, to)
}

// Delete implements storagedriver.StorageDriver.
func (u cacheStorage) Delete(ctx context.Context, path string) error {
	return u.StorageDriver.Delete(notFromUpstream(ctx), path)
}

// Walk implements storagedriver.StorageDriver.
func (u cacheStorage) Walk(ctx context.Context, path string, visit storagedriver.WalkFn, options ...func(*storagedriver.WalkOptions)) error {
	return u.StorageDriver.Walk(notFromUpstream(ctx), path, visit, options...)
}

// cacheStorageName is the name of a cacheStorage in distribution's list of middleware.
const cacheStorageName = "ndock-cache-storage"

// registerCacheStorage registers the middleware once: distribution finds it by name alone.
var registerCacheStorage = sync.OnceValue(func() error {
	return storagemiddleware.Register(cacheStorageName, func(_ context.Context, driver storagedriver.StorageDriver, _ map[string]any) (storagedriver.StorageDriver, error) {
		return cacheStorage{driver}, nil
	})
})

// stored are images in a storage of distribution's.
type stored struct{ *storage.Store }

func openStored(o config.Options, c *configuration.Configuration) (images, error) {
	s, err := openStorage(o, c)
	if err != nil {
		return nil, err
	}
	if parameters := c.Auth["keystone"]; parameters != nil {
		parameters["project"] = s.JoinNamespaces
	}
	return stored{s}, nil
}

// openStorage puts ndock's middleware around the storage of the configuration: see storage.New.
func openStorage(o config.Options, c *configuration.Configuration) (*storage.Store, error) {
	if c.Proxy.RemoteURL != "" {
		c.Middleware = map[string][]configuration.Middleware{"storage": append(c.Middleware["storage"], configuration.Middleware{Name: cacheStorageName})}
	}
	if err := registerCacheStorage(); err != nil {
		return nil, err
	}
	return storage.New(c, o.Quota, o.MaxOpenUploads, o.Log)
}

// cacheStorage is the storage of a cache. Its own requests, as to S3, are not those to the upstream, though they have
// the same context.
type cacheStorage struct{ storagedriver.StorageDriver }

type cacheStorageWriter struct{ storagedriver.FileWriter }

// Commit implements storagedriver.FileWriter.
func (w cacheStorageWriter) Commit(ctx context.Context) error {
	return w.FileWriter.Commit(notFromUpstream(ctx))
}
