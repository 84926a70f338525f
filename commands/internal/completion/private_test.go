package completion

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestOthersDirectories: with another user's home, as after su or sudo -E, nothing is read or written there.
func TestOthersDirectories(t *testing.T) {
	t.Parallel()
	const other = 12345
	chown := func(path string) error { return os.Chown(path, other, other) }
	open := func(path string) error { return os.Chmod(path, 0o777) }
	for name, test := range map[string]struct {
		path   string // below the home
		change func(string) error
		root   bool
	}{
		"its owner is another":          {".cache/ndock", chown, true},
		"the one above is another's":    {".cache", chown, true},
		"the home is another's":         {".", chown, true},
		"others write to it":            {".cache/ndock", open, false},
		"others write to the one above": {".cache", open, false},
		"others write to the home":      {".", open, false},
		"it is a link":                  {".cache/ndock", link, false},
		"the one above is a link":       {".cache", link, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.root && os.Geteuid() != 0 {
				t.Skip("only root can give files away")
			}
			home := t.TempDir()
			dir := filepath.Join(home, ".cache", "ndock")
			asked := &lists{names: []string{"web"}}
			names := Names{Dir: dir, Wait: time.Minute, Refresh: asked.refresh}
			if got := names.Of("servers", cloud); len(got) != 1 {
				t.Fatalf("before, %q are offered", got)
			}
			if err := test.change(filepath.Join(home, test.path)); err != nil {
				t.Fatal(err)
			}
			if got := names.Of("servers", cloud); len(got) > 0 {
				t.Errorf("%q are offered", got)
			}
			if names.Of("images", cloud); asked.asked != 1 {
				t.Error("the cloud was asked")
			}
			file := filepath.Join(dir, "images-1")
			if err := Write(file, func() ([]string, error) { return []string{"web"}, nil }); err == nil {
				t.Error("it was written")
			}
			if found, _ := filepath.Glob(file + "*"); len(found) > 0 {
				t.Errorf("there is %q", found)
			}
		})
	}
}

// link puts a link to a directory in its place.
func link(path string) error {
	if err := os.Rename(path, path+"-target"); err != nil {
		return err
	}
	return os.Symlink(path+"-target", path)
}

// TestLinks in the directory are not followed.
func TestLinks(t *testing.T) {
	t.Parallel()
	dir, target := t.TempDir(), filepath.Join(t.TempDir(), "target")
	file := filepath.Join(dir, "servers-1")
	if err := os.Symlink(target, file+".lock"); err != nil {
		t.Fatal(err)
	}
	list := func() ([]string, error) { return []string{"web"}, nil }
	if err := Write(file, list); err == nil {
		t.Error("the lock is a link, and names were written")
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("the lock's link was followed")
	}
	if err := os.WriteFile(target, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, file); err != nil {
		t.Fatal(err)
	}
	if got, _ := read(file); got != nil {
		t.Errorf("%q was read through a link", got)
	}
	if err := os.Remove(file + ".lock"); err != nil {
		t.Fatal(err)
	}
	if err := Write(file, list); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(target); err != nil || string(content) != "secret\n" {
		t.Errorf("the link's target is %q (%v)", content, err)
	}
	if got, _ := read(file); len(got) != 1 {
		t.Errorf("in the link's place there is %q", got)
	}
}
