package gc

import (
	"context"
	"errors"

	"github.com/distribution/distribution/v3/registry/storage/driver"
)

// Walk visits the files in a directory, which need not exist. It ignores what is removed meanwhile; distribution's own
// walk would leave out all that comes after a removed directory.
func Walk(ctx context.Context, storage driver.StorageDriver, from string, visit func(driver.FileInfo) error) error {
	return WalkAll(ctx, storage, from, func(file driver.FileInfo) error {
		if file.IsDir() {
			return nil
		}
		return visit(file)
	})
}

// HasDirectories returns whether a storage has directories that exist without files in them.
func HasDirectories(storage driver.StorageDriver) bool { return storage.Name() != "s3aws" }

// WalkAll visits the directories in a directory, too, where the storage has any.
func WalkAll(ctx context.Context, storage driver.StorageDriver, from string, visit func(driver.FileInfo) error) error {
	each := func(file driver.FileInfo) error {
		if err := ctx.Err(); err != nil || file.IsDir() && !HasDirectories(storage) { // whose walk makes some up
			return err
		}
		return unlessMissing(visit(file))
	}
	if !HasDirectories(storage) { // nothing is missing but from
		return unlessMissing(storage.Walk(ctx, from, each))
	}
	if _, err := storage.Stat(ctx, from); err != nil {
		return unlessMissing(err)
	}
	return driver.WalkFallback(ctx, &lenient{storage, from}, from, each)
}

// lenient is a storage in which a directory that is gone is empty, except the one where a walk begins.
type lenient struct {
	driver.StorageDriver
	from string
}

// List implements driver.StorageDriver.
func (l *lenient) List(ctx context.Context, dir string) ([]string, error) {
	found, err := l.StorageDriver.List(ctx, dir)
	if dir != l.from {
		err = unlessMissing(err)
	}
	return found, err
}

func missing(err error) bool {
	var gone driver.PathNotFoundError
	return errors.As(err, &gone)
}

func unlessMissing(err error) error {
	if missing(err) {
		return nil
	}
	return err
}
