package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A file is replaced by one that only its user can read, unless it is given another mode, and nothing else is left.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	for _, test := range []struct {
		content string
		prepare func(*os.File) error
		mode    os.FileMode
	}{
		{"one", Group(-1, 0o640), 0o640},
		{"two", func(next *os.File) error { return CopyOwner(next, name) }, 0o640},
		{"three", func(*os.File) error { return nil }, 0o600},
		{"four", func(next *os.File) error { return CopyOwner(next, filepath.Join(dir, "none")) }, 0o600},
	} {
		if err := Write(name, []byte(test.content), test.prepare); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if got, _ := os.ReadFile(name); err != nil || string(got) != test.content || info.Mode().Perm() != test.mode {
			t.Errorf("%s: it has %q, %v (%v)", test.content, got, info.Mode(), err)
		}
	}
	refused := errors.New("refused")
	if err := Write(name, []byte("five"), func(*os.File) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("error %v", err)
	}
	if got, _ := os.ReadFile(name); string(got) != "four" {
		t.Errorf("after a failure it has %q", got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left are %v (%v)", left, err)
	}
}

// Publish makes the directory, and a file that everyone can read.
func TestPublish(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a", "b", "file")
	if err := Publish(name, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
}
