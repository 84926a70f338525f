package registry

import (
	"context"
	"io"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

// unmarked is a storage whose own requests are none of a cache, even where they serve one that is.
type unmarked struct{ storagedriver.StorageDriver }

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
	return u.StorageDriver.Writer(notFromUpstream(ctx), path, more)
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
