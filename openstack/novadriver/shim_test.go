package novadriver

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// python3 is the interpreter that Debian's Nova runs on: the first python3 in PATH may be another.
const python3 = "/usr/bin/python3"

// TestShim runs the driver's own tests, in Python, with the Nova that is installed.
func TestShim(t *testing.T) {
	if out, err := exec.Command(python3, "-B", "-c", "import nova.virt.driver").CombinedOutput(); err != nil {
		if os.Getenv("NDOCK_E2E_CLOUD") != "" {
			t.Fatalf("%s has no Nova to test the driver with: %v\n%s", python3, err, out)
		}
		t.Skipf("%s has no Nova (package python3-nova) to test the driver with: 'make cloud' installs it", python3)
	}
	readAll(t, "tests", "nova")
	tests := exec.Command(python3, "-B", "-m", "unittest", "discover", "-s", "tests")
	out, err := tests.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", tests.Args, err, out)
	}
	t.Logf("%s", out)
}

// readAll lets the go command see which files the result depends on, so that a cached one is not believed when
// they have changed.
func readAll(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			_, err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
