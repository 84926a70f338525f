package htpasswd

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ndock/registry/internal/registrytest"
)

func TestLoginFile(t *testing.T) {
	var said said
	dir := t.TempDir()
	file, link := filepath.Join(dir, "users"), filepath.Join(dir, "link")
	if err := os.Symlink("users", link); err != nil {
		t.Fatal(err)
	}
	if err := AddLogin(t.Context(), File(file), "ci", "secret", &said); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, os.Getuid(), os.Getgid()); err != nil {
		t.Fatal(err)
	}
	if err := AddLogin(t.Context(), File(link), "ops", "other", &said); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if info, _ := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink || !slices.Equal(Users(text), []string{"ci", "ops"}) {
		t.Errorf("%s, %v, %v", text, info, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
	registrytest.WantError(t, AddLogin(t.Context(), File(registrytest.Write(t, []byte("secret"))), "ci", "x", &said), `add login "ci": read the logins that are there: line 1 is not USER:HASH`)
	registrytest.WantError(t, RemoveLogin(t.Context(), File(dir), "ci", &said), "is a directory")
	registrytest.WantError(t, AddLogin(t.Context(), File(filepath.Join(dir, "no/users")), "ci", "x", &said), "no such file")
}

// said is what a Reporter heard.
type said []string

func (s *said) Step(format string, args ...any) { *s = append(*s, format) }
