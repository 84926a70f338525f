// Package programtest gives tests a place for programs that root may run.
package programtest

import (
	"os"
	"testing"
)

// Dir is a directory of root's, in directories of root's: that of other temporary files is anyone's.
func Dir(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("the programs have to be root's")
	}
	dir, err := os.MkdirTemp("/var/lib", "ndock-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
