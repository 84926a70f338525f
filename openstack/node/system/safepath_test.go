package system

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// nova may replace a directory by a link at any time: the directory that is open stays the same.
func TestAnOpenDirectoryStaysWhatItWas(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give directories away")
	}
	const novaUser = 12345
	root := t.TempDir()
	at := func(path string) string { return filepath.Join(root, path) }
	check(t, os.Mkdir(at("nova"), 0o755), os.Mkdir(at("roots"), 0o755), os.WriteFile(at("nova/file"), nil, 0o644))
	check(t, os.Chown(at("nova"), novaUser, novaUser), os.Chown(at("nova/file"), novaUser, novaUser))
	p, err := openParent(at("nova/file"))
	check(t, err)
	defer p.close()
	check(t, os.Rename(at("nova"), at("away")), os.Symlink(at("roots"), at("nova")))
	check(t, p.replace(func(file *os.File) error { _, err := file.WriteString("new"); return err }))
	got, err := os.ReadFile(at("away/file"))
	check(t, err)
	if _, err := os.Stat(at("roots/file")); string(got) != "new" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %q, and where the link leads %v", got, err)
	}
	if _, err := openParent(at("nova/x")); err != nil {
		t.Errorf("a link in a directory of root's is not followed: %v", err)
	}
}
