package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/storage/driver"
	storagemiddleware "github.com/distribution/distribution/v3/registry/storage/driver/middleware"
	"golang.org/x/sync/singleflight"
)

// fsyncName is the name of the driver in distribution's list.
const fsyncName = "ndock-fsync"

// fsyncMiddleware returns the middleware for a storage in the directory.
func fsyncMiddleware(dir string) configuration.Middleware {
	return configuration.Middleware{Name: fsyncName, Options: configuration.Parameters{"rootdirectory": dir}}
}

// registerFsync registers the driver once: distribution has one list for the whole process.
var registerFsync = sync.OnceValue(func() error {
	return storagemiddleware.Register(fsyncName, func(_ context.Context, inner driver.StorageDriver, options map[string]any) (driver.StorageDriver, error) {
		return &fsyncDriver{StorageDriver: inner, root: fmt.Sprint(options["rootdirectory"])}, nil
	})
})

// fsyncDriver syncs what is written, so that it survives a loss of power. Distribution's file system driver syncs the
// content of each file, but not the names of blobs, which it moves into place, nor new directories.
type fsyncDriver struct {
	driver.StorageDriver
	root   string
	making singleflight.Group // directories, by their names
}

// PutContent implements driver.StorageDriver.
func (d *fsyncDriver) PutContent(ctx context.Context, path string, content []byte) error {
	if err := d.makeParent(path); err != nil {
		return err
	}
	return d.StorageDriver.PutContent(ctx, path, content)
}

// Writer implements driver.StorageDriver.
func (d *fsyncDriver) Writer(ctx context.Context, path string, appending bool) (driver.FileWriter, error) {
	if err := d.makeParent(path); err != nil {
		return nil, err
	}
	return d.StorageDriver.Writer(ctx, path, appending)
}

// Move implements driver.StorageDriver.
func (d *fsyncDriver) Move(ctx context.Context, from, to string) error {
	if err := d.makeParent(to); err != nil {
		return err
	}
	if err := d.StorageDriver.Move(ctx, from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(d.file(to)))
}

func (d *fsyncDriver) file(path string) string { return filepath.Join(d.root, path) }

// makeParent makes the directory of a file. That of an upload need not survive: the client begins again.
func (d *fsyncDriver) makeParent(path string) error {
	if !driver.PathRegexp.MatchString(path) {
		return nil // which the driver will refuse
	}
	if before, _, within := strings.Cut(path, "/_uploads/"); within {
		return d.makeDir(d.file(before + "/_uploads"))
	}
	return d.makeDir(filepath.Dir(d.file(path)))
}

// makeDir makes a directory and its parents, and syncs their names. It waits for others that are making the same.
func (d *fsyncDriver) makeDir(dir string) error {
	_, err, _ := d.making.Do(dir, func() (any, error) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		parent := filepath.Dir(dir)
		if err := d.makeDir(parent); err != nil {
			return nil, err
		}
		if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		return nil, syncDir(parent)
	})
	return err
}

// syncDir syncs the names in a directory.
func syncDir(dir string) error {
	opened, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}
