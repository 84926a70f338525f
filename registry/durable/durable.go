// Package durable makes what distribution's file system driver writes outlast a loss of power. That driver itself brings
// each file's bytes to the disk; but not the names of blobs, which it moves to their places, nor new directories on the
// way to a file. An image that was acknowledged shall be there when the power is back.
package durable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/storage/driver"
	storagemiddleware "github.com/distribution/distribution/v3/registry/storage/driver/middleware"
)

// name is what distribution knows it by.
const name = "ndock-durable"

// Middleware is what a configuration names that keeps its storage in a directory.
func Middleware(dir string) (configuration.Middleware, error) {
	return configuration.Middleware{Name: name, Options: configuration.Parameters{"rootdirectory": dir}}, register()
}

// register is once for the process: distribution has one list of these.
var register = sync.OnceValue(func() error {
	return storagemiddleware.Register(name, func(_ context.Context, inner driver.StorageDriver, options map[string]any) (driver.StorageDriver, error) {
		return &durable{StorageDriver: inner, root: fmt.Sprint(options["rootdirectory"])}, nil
	})
})

type durable struct {
	driver.StorageDriver
	root string
	lock sync.RWMutex // held for writing while directories are made: none is seen by others before it is on the disk
}

// PutContent implements driver.StorageDriver.
func (d *durable) PutContent(ctx context.Context, path string, content []byte) error {
	if err := d.makeWay(path); err != nil {
		return err
	}
	return d.StorageDriver.PutContent(ctx, path, content)
}

// Writer implements driver.StorageDriver.
func (d *durable) Writer(ctx context.Context, path string, appending bool) (driver.FileWriter, error) {
	if err := d.makeWay(path); err != nil {
		return nil, err
	}
	return d.StorageDriver.Writer(ctx, path, appending)
}

// Move implements driver.StorageDriver.
func (d *durable) Move(ctx context.Context, from, to string) error {
	if err := d.makeWay(to); err != nil {
		return err
	}
	if err := d.StorageDriver.Move(ctx, from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(d.file(to)))
}

func (d *durable) file(path string) string { return filepath.Join(d.root, path) }

// makeWay makes the directory that a file shall be in.
func (d *durable) makeWay(path string) error {
	if !driver.PathRegexp.MatchString(path) {
		return nil // which the driver will refuse
	}
	dir := filepath.Dir(d.file(path))
	d.lock.RLock()
	_, err := os.Stat(dir)
	d.lock.RUnlock()
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.lock.Lock()
	defer d.lock.Unlock()
	return makeDirs(dir)
}

func makeDirs(dir string) error {
	parent := filepath.Dir(dir)
	err := os.Mkdir(dir, 0o777)
	if errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err := makeDirs(parent); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o777)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(parent)
}

// syncDir brings the names in a directory to the disk.
func syncDir(dir string) error {
	opened, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}
