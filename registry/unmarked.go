package registry

import (
	"context"
	"io"
	"sync"

	"github.com/distribution/distribution/v3/configuration"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	storagemiddleware "github.com/distribution/distribution/v3/registry/storage/driver/middleware"
)

// GetContent implements storagedriver.StorageDriver.
func (u unmarked) GetContent(ctx context.Context, path string) ([]byte, error) {
	return u.StorageDriver.GetContent(notFromUpstream(ctx), path)
}

// PutContent implements storagedriver.StorageDriver.
func (u unmarked) PutContent(ctx context.Context, path string, content []byte) error {
	return u.StorageDriver.PutContent(notFromUpstream(ctx), path, content)
}

// Reader implements storagedriver.StorageDriver.
func (u unmarked) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	return u.StorageDriver.Reader(notFromUpstream(ctx), path, offset)
}

// Writer implements storagedriver.StorageDriver.
func (u unmarked) Writer(ctx context.Context, path string, more bool) (storagedriver.FileWriter, error) {
	w, err := u.StorageDriver.Writer(notFromUpstream(ctx), path, more)
	if err != nil {
		return nil, err
	}
	return unmarkedWriter{w}, nil
}

// Stat implements storagedriver.StorageDriver.
func (u unmarked) Stat(ctx context.Context, path string) (storagedriver.FileInfo, error) {
	return u.StorageDriver.Stat(notFromUpstream(ctx), path)
}

// List implements storagedriver.StorageDriver.
func (u unmarked) List(ctx context.Context, path string) ([]string, error) {
	return u.StorageDriver.List(notFromUpstream(ctx), path)
}

// Move implements storagedriver.StorageDriver.
func (u unmarked) Move(ctx context.Context, from, to string) error {
	return u.StorageDriver.Move(notFromUpstream(ctx), from, to)
}

// Delete implements storagedriver.StorageDriver.
func (u unmarked) Delete(ctx context.Context, path string) error {
	return u.StorageDriver.Delete(notFromUpstream(ctx), path)
}

// Walk implements storagedriver.StorageDriver.
func (u unmarked) Walk(ctx context.Context, path string, visit storagedriver.WalkFn, options ...func(*storagedriver.WalkOptions)) error {
	return u.StorageDriver.Walk(notFromUpstream(ctx), path, visit, options...)
}

// unmarkedName is what distribution knows such a storage by.
const unmarkedName = "ndock-cache-storage"

// registerUnmarked is once for all, since distribution finds middleware by name alone.
var registerUnmarked = sync.OnceValue(func() error {
	return storagemiddleware.Register(unmarkedName, func(_ context.Context, driver storagedriver.StorageDriver, _ map[string]any) (storagedriver.StorageDriver, error) {
		return unmarked{driver}, nil
	})
})

// openStorage has the configuration put before its storage what is ndock's: see newStore.
func openStorage(o ServeOptions, c *configuration.Configuration) (*store, error) {
	if c.Proxy.RemoteURL != "" {
		c.Middleware = map[string][]configuration.Middleware{"storage": append(c.Middleware["storage"], configuration.Middleware{Name: unmarkedName})}
	}
	if err := registerUnmarked(); err != nil {
		return nil, err
	}
	return newStore(c, o.Quota, o.MaxOpenUploads, o.Log)
}

// unmarked is a storage whose own requests are none of a cache, even where they serve one that is.
type unmarked struct{ storagedriver.StorageDriver }

type unmarkedWriter struct{ storagedriver.FileWriter }

// Commit implements storagedriver.FileWriter.
func (w unmarkedWriter) Commit(ctx context.Context) error {
	return w.FileWriter.Commit(notFromUpstream(ctx))
}
