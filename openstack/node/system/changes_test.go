package system

import (
	"os"
	"path/filepath"
	"testing"
)

func TestEditKeepsModeAndLink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "real.conf"), filepath.Join(dir, "link.conf")
	check(t, os.WriteFile(target, []byte("old"), 0o600), os.Chmod(target, 0o640), os.Symlink("real.conf", link))
	var c Changes
	check(t, c.Edit(link, []byte("new")))
	info, err := os.Lstat(link)
	check(t, err)
	if info.Mode().Type() != os.ModeSymlink {
		t.Error("the link became a file")
	}
	info, err = os.Stat(target)
	check(t, err)
	if content, _ := os.ReadFile(target); string(content) != "new" || info.Mode() != 0o640 {
		t.Errorf("got %q, %s", content, info.Mode())
	}
	check(t, c.Rollback())
	if content, _ := os.ReadFile(target); string(content) != "old" {
		t.Errorf("got %q back", content)
	}
}

func TestRollbackRemovesWhatWasMade(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, "kept")
	check(t, os.WriteFile(kept, []byte("kept"), 0o644))
	var c Changes
	check(t, c.Write(filepath.Join(dir, "a", "b", "file"), []byte("x"), 0o755), c.Remove(kept), c.Remove(filepath.Join(dir, "none")))
	check(t, c.Rollback())
	entries, err := os.ReadDir(dir)
	check(t, err)
	if len(entries) != 1 || entries[0].Name() != "kept" {
		t.Errorf("left %v", entries)
	}
}

func TestWriteLeavesNoTemporaryFile(t *testing.T) {
	dir := t.TempDir()
	check(t, os.Mkdir(filepath.Join(dir, "taken"), 0o755), os.WriteFile(filepath.Join(dir, "taken", "x"), nil, 0o644))
	if err := (Snapshot{Path: filepath.Join(dir, "taken"), Mode: 0o644, UID: os.Geteuid(), GID: os.Getegid()}).Write(); err == nil {
		t.Error("a directory was replaced")
	}
	entries, err := os.ReadDir(dir)
	check(t, err)
	if len(entries) != 1 {
		t.Errorf("left %v", entries)
	}
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
