package storage

import (
	"flag"
	"os"
	"testing"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	storagemiddleware "github.com/distribution/distribution/v3/registry/storage/driver/middleware"
	"github.com/distribution/distribution/v3/registry/storage/driver/testsuites"
)

// TestFsyncDriver is distribution's own suite for storage drivers, without its file of 5 GiB. It waits beside the other
// tests: the suite itself sleeps.
func TestFsyncDriver(t *testing.T) {
	t.Parallel()
	if err := flag.Set("test.short", "true"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	testsuites.Driver(t, func() (driver.StorageDriver, error) {
		inner := filesystem.New(filesystem.DriverParameters{RootDirectory: dir, MaxThreads: 100})
		return &fsyncDriver{StorageDriver: inner, root: dir}, nil
	}, false)
}

// TestFsyncMiddleware writes by the configuration, as the registry does.
func TestFsyncMiddleware(t *testing.T) {
	dir := t.TempDir()
	if err := registerFsync(); err != nil {
		t.Fatal(err)
	}
	configured := fsyncMiddleware(dir)
	inner := filesystem.New(filesystem.DriverParameters{RootDirectory: dir, MaxThreads: 100})
	d, err := storagemiddleware.Get(t.Context(), configured.Name, configured.Options, inner)
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"new directories": "/a/b/c/file", "one that is there": "/a/b/c/other"} {
		if err := d.PutContent(t.Context(), path, []byte(name)); err != nil {
			t.Fatal(err)
		}
		if err := d.Move(t.Context(), path, path+".d/moved"); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(dir + path + ".d/moved"); err != nil || string(got) != name {
			t.Errorf("%s: %q (%v)", name, got, err)
		}
	}
	if err := d.PutContent(t.Context(), "../outside/file", nil); err == nil {
		t.Error("a path that is none is written")
	}
	if _, err := os.Stat(dir + "/../outside"); err == nil {
		t.Error("a directory was made outside")
	}
}
