package novadriver

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// python3 is the interpreter that Debian's Nova runs on: the first python3 in PATH may be another.
const python3 = "/usr/bin/python3"

// What nova-compute runs on, by the name that a test has for it and by Nova's own switch.
var modes = map[string]string{
	"eventlet":       "OS_NOVA_DISABLE_EVENTLET_PATCHING=false",
	"native_threads": "OS_NOVA_DISABLE_EVENTLET_PATCHING=true",
}

const noSuchMode = 77 // the exit status of tests/__main__.py when the release does not have it

// TestShim runs the driver's own tests, in Python, with the Nova that is installed.
func TestShim(t *testing.T) {
	if out, err := exec.Command(python3, "-B", "-c", "import nova.virt.driver").CombinedOutput(); err != nil {
		if os.Getenv("NDOCK_E2E_CLOUD") != "" {
			t.Fatalf("%s has no Nova to test the driver with: %v\n%s", python3, err, out)
		}
		t.Skipf("%s has no Nova (package python3-nova) to test the driver with: 'make cloud' installs it", python3)
	}
	readAll(t, "tests", "nova")
	runInEachMode(t, func() *exec.Cmd { return exec.Command(python3, "-B", "tests") })
}

// TestReleases runs them with the Novas of other releases, each in a root of its own that testdata/debian/unpack made.
func TestReleases(t *testing.T) {
	roots := strings.Fields(os.Getenv("NDOCK_NOVA_ROOTS"))
	if len(roots) == 0 {
		t.Skip("NDOCK_NOVA_ROOTS names no roots with other releases of Nova: 'make nova-releases' makes them")
	}
	for _, root := range roots {
		t.Run(filepath.Base(root), func(t *testing.T) {
			t.Parallel()
			inside := copyShim(t, root)
			runInEachMode(t, func() *exec.Cmd {
				tests := exec.Command(python3, "-W", "ignore", inside)
				tests.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
				tests.Dir = "/"
				tests.Env = []string{"PATH=/usr/bin"} // what else is set here speaks of this machine, not of the root
				return tests
			})
		})
	}
}

// copyShim copies the driver and its tests into a root and returns where the tests are, seen from inside.
func copyShim(t *testing.T, root string) string {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Join(root, "tmp"), "ndock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{"nova", "tests"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(name)); err != nil {
			t.Fatal(err)
		}
	}
	return strings.TrimPrefix(filepath.Join(dir, "tests"), filepath.Clean(root))
}

func runInEachMode(t *testing.T, command func() *exec.Cmd) {
	t.Helper()
	for mode, env := range modes {
		t.Run(mode, func(t *testing.T) {
			tests := command()
			tests.Env = append(tests.Environ(), env)
			out, err := tests.CombinedOutput()
			if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == noSuchMode {
				t.Skipf("%s", out)
			}
			if err != nil {
				t.Fatalf("%v: %v\n%s", tests.Args, err, out)
			}
			t.Logf("%s", out)
		})
	}
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
