package ociruntime

import (
	"path/filepath"
	"strings"
	"testing"
)

// What runc says of a container reaches the hook that it calls.
func TestHook(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	none := filepath.Join(dir, "none")
	for _, test := range []struct{ verb, stdin, want string }{
		{"join", `{"id": "../x"`, "read the container's state from runc"},
		{"join", `{"id": "x", "pid": 0}`, errNotRunc.Error()}, // its process has ended
		{"leave", `{"pid": 1}`, errNotRunc.Error()},
		{"stay", `{"id": "x", "pid": 1}`, `there is no hook "stay"`},
	} {
		if err := Hook(test.verb, none, strings.NewReader(test.stdin)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s of %s: %v", test.verb, test.stdin, err)
		}
	}
}
