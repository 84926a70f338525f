package registry

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ndock/registry/htpasswd"
)

func TestLoginFile(t *testing.T) {
	var said said
	dir := t.TempDir()
	file, link := filepath.Join(dir, "users"), filepath.Join(dir, "link")
	if err := os.Symlink("users", link); err != nil {
		t.Fatal(err)
	}
	if err := AddLogin(t.Context(), LoginFile(file), "ci", "secret", &said); err != nil {
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
	if err := AddLogin(t.Context(), LoginFile(link), "ops", "other", &said); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if info, _ := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink || !slices.Equal(htpasswd.Users(text), []string{"ci", "ops"}) {
		t.Errorf("%s, %v, %v", text, info, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
	wantError(t, AddLogin(t.Context(), LoginFile(write(t, []byte("secret"))), "ci", "x", &said), `add login "ci": read the logins that are there: line 1 is not USER:HASH`)
	wantError(t, RemoveLogin(t.Context(), LoginFile(dir), "ci", &said), "is a directory")
	wantError(t, AddLogin(t.Context(), LoginFile(filepath.Join(dir, "no/users")), "ci", "x", &said), "no such file")
}

// said is what a Reporter heard.
type said []string

func (s *said) Step(format string, args ...any) { *s = append(*s, format) }
