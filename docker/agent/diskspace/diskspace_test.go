package diskspace_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ndock/docker/agent/diskspace"
	"ndock/docker/archive"
)

// TestReserve: what one image will take is no space for another, until that one is done.
func TestReserve(t *testing.T) {
	directory := t.TempDir()
	free, err := diskspace.FreeOn(directory)
	if err != nil {
		t.Fatal(err)
	}
	var full *diskspace.Full
	for what, most := range map[string]diskspace.Space{"bytes": {Bytes: free.Bytes / 4 * 3}, "files": {Files: free.Files / 4 * 3}} {
		r := diskspace.New(0)
		release, err := r.Reserve(directory, most)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Reserve(directory, most); !errors.As(err, &full) {
			t.Errorf("the same %s were reserved twice: %v", what, err)
		}
		release()
		if _, err := r.Reserve(directory, most); err != nil {
			t.Error(err)
		}
	}
	for _, n := range []int64{-1, math.MinInt64, math.MaxInt64} {
		if _, err := diskspace.New(0).Reserve(directory, diskspace.Space{Bytes: n}); !errors.As(err, &full) {
			t.Errorf("%d bytes were reserved: %v", n, err)
		}
	}
	if _, err := diskspace.New(math.MaxInt64).Reserve(directory, diskspace.Space{}); !errors.As(err, &full) {
		t.Errorf("what is to be spared was reserved: %v", err)
	}
}

// sized makes a file of this size that is a hole.
func sized(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

const tib = 1 << 40

// TestMeasure: a copy has the holes of files, each file once, and nothing that a link leads to.
func TestMeasure(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o700); err != nil {
		t.Fatal(err)
	}
	sized(t, filepath.Join(dir, "a/b/hole"), tib)
	if err := os.WriteFile(filepath.Join(dir, "a/full"), make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	err := errors.Join(os.Link(filepath.Join(dir, "a/full"), filepath.Join(dir, "hard")), os.Symlink("/", filepath.Join(dir, "soft")), os.Symlink("..", filepath.Join(dir, "a/up")))
	if err != nil {
		t.Fatal(err)
	}
	found, err := diskspace.Measure(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	least := int64(tib + 1<<16)
	if found.Stated < least || found.Stated > least+1<<16 || found.Files != 6 || found.Names != 1 { // with the two directories
		t.Errorf("got %+v, want %d bytes in 6 files, of which one has two names", found, least)
	}
	if found.Used < 1<<16 || found.Used > 1<<20 {
		t.Errorf("%d bytes of the disk are used", found.Used)
	}
	if want := (diskspace.Space{Bytes: found.Stated + 6*4096 + 2048, Files: 6}); found.Copy() != want {
		t.Errorf("a copy takes %+v, want %+v", found.Copy(), want)
	}
}

// TestSumsDoNotWrap: of sizes that together are more than any number, as a tenant can have on xfs.
func TestSumsDoNotWrap(t *testing.T) {
	for _, c := range []struct{ a, b, want int64 }{{1, 2, 3}, {math.MaxInt64, 0, math.MaxInt64}, {math.MaxInt64, 1, math.MaxInt64}, {math.MaxInt64 - 1, math.MaxInt64, math.MaxInt64}} {
		if got := archive.AddSizes(c.a, c.b); got != c.want {
			t.Errorf("%d + %d: got %d", c.a, c.b, got)
		}
	}
	if got := (diskspace.Tree{Stated: math.MaxInt64, Files: math.MaxInt64, Names: math.MaxInt64}).Copy(); got.Bytes != math.MaxInt64 {
		t.Errorf("a copy takes %+v", got)
	}
}

// TestDeepDirectories end the measurement, whatever they hold.
func TestDeepDirectories(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	top := root.Name()
	for range 1100 {
		if err := root.Mkdir("d", 0o700); err != nil {
			t.Fatal(err)
		}
		below, err := root.OpenRoot("d")
		if root.Close(); err != nil {
			t.Fatal(err)
		}
		root = below
	}
	root.Close()
	if found, err := diskspace.Measure(t.Context(), top); !errors.Is(err, diskspace.ErrTooDeep) || found.Files < 1000 {
		t.Errorf("got %+v, %v", found, err)
	}
}

// TestManyNames of one file take space in an image: in directories, and in what Docker records.
func TestManyNames(t *testing.T) {
	dir := t.TempDir()
	sized(t, filepath.Join(dir, "0"), 1)
	for n := range 1000 {
		if err := os.Link(filepath.Join(dir, "0"), filepath.Join(dir, strings.Repeat("x", 200)+fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := diskspace.Measure(t.Context(), dir); err != nil || found.Files != 1 || found.Copy().Bytes < 1000*1000 {
		t.Errorf("got %+v, %v", found, err)
	}
}

func TestMeasureEnds(t *testing.T) {
	ctx, end := context.WithCancelCause(t.Context())
	end(diskspace.ErrTooMany)
	if _, err := diskspace.Measure(ctx, t.TempDir()); !errors.Is(err, diskspace.ErrTooMany) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := diskspace.Measure(ctx, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := diskspace.Measure(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestFilesThatMove while they are measured count once, as far as they are large: a tenant could have his disk look larger than it is.
func TestFilesThatMove(t *testing.T) {
	dir := t.TempDir()
	for n := range 8 {
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprint(n)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "0/large"), []byte(strings.Repeat("x", 2<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		for n := 0; ctx.Err() == nil; n++ {
			_ = os.Rename(filepath.Join(dir, fmt.Sprint(n%8), "large"), filepath.Join(dir, fmt.Sprint((n+1)%8), "large"))
		}
	}()
	for range 200 {
		if found, err := diskspace.Measure(t.Context(), dir); err != nil || found.Used > 3<<20 {
			t.Errorf("got %+v, %v", found, err)
			break
		}
	}
	stop()
	<-moved
}
