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

// fsyncName is what distribution knows the driver by.
const fsyncName = "ndock-fsync"

// fsyncMiddleware is what a configuration names that keeps its storage in a directory.
func fsyncMiddleware(dir string) configuration.Middleware {
	return configuration.Middleware{Name: fsyncName, Options: configuration.Parameters{"rootdirectory": dir}}
}

// registerFsync is once for the process: distribution has one list of these.
var registerFsync = sync.OnceValue(func() error {
	return storagemiddleware.Register(fsyncName, func(_ context.Context, inner driver.StorageDriver, options map[string]any) (driver.StorageDriver, error) {
		return &fsyncDriver{StorageDriver: inner, root: fmt.Sprint(options["rootdirectory"])}, nil
	})
})

// fsyncDriver has what is written outlast a loss of power. Distribution's file system driver itself brings each file's
// bytes to the disk; but not the names of blobs, which it moves to their places, nor new directories on the way to a
// file. An image that was acknowledged shall be there when the power is back.
type fsyncDriver struct {
	driver.StorageDriver
	root   string
	making singleflight.Group // directories, by their names
}

// PutContent implements driver.StorageDriver.
func (d *fsyncDriver) PutContent(ctx context.Context, path string, content []byte) error {
	if err := d.makeWay(path); err != nil {
		return err
	}
	return d.StorageDriver.PutContent(ctx, path, content)
}

// Writer implements driver.StorageDriver.
func (d *fsyncDriver) Writer(ctx context.Context, path string, appending bool) (driver.FileWriter, error) {
	if err := d.makeWay(path); err != nil {
		return nil, err
	}
	return d.StorageDriver.Writer(ctx, path, appending)
}

// Move implements driver.StorageDriver.
func (d *fsyncDriver) Move(ctx context.Context, from, to string) error {
	if err := d.makeWay(to); err != nil {
		return err
	}
	if err := d.StorageDriver.Move(ctx, from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(d.file(to)))
}

func (d *fsyncDriver) file(path string) string { return filepath.Join(d.root, path) }

// makeWay makes the directory that a file shall be in. An upload's own may be lost: the client begins again.
func (d *fsyncDriver) makeWay(path string) error {
	if !driver.PathRegexp.MatchString(path) {
		return nil // which the driver will refuse
	}
	if before, _, within := strings.Cut(path, "/_uploads/"); within {
		return d.makeDir(d.file(before + "/_uploads"))
	}
	return d.makeDir(filepath.Dir(d.file(path)))
}

// makeDir returns when the directory is there for good. One that others are making, and is not on the disk yet, is
// waited for.
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

// syncDir brings the names in a directory to the disk.
func syncDir(dir string) error {
	opened, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}
