package ociruntime

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLimitOf(t *testing.T) {
	for line, limited := range map[string]bool{
		"--root /r create --bundle /b id": true, "--root /r start id": true, "kill id 9": true, "delete --force id": true, "state id": true,
		"--root /r exec --process /p --detach --pid-file /f id": true, "exec -d id true": true,
		"exec --process /p id": false, "exec id kill 1": false, "events --stats id": false, "--version": false, "": false,
	} {
		if got := limitOf(strings.Fields(line)); (got > 0) != limited {
			t.Errorf("%q: got %s", line, got)
		}
	}
}

// TestLimitsOfHooks: what runs a hook may take longer than the hook may.
func TestLimitsOfHooks(t *testing.T) {
	for _, verb := range []string{"create", "delete"} {
		if limits[verb] <= hookTimeout*time.Second {
			t.Errorf("a hook may take %d s, and %s with the hook in it only %s", hookTimeout, verb, limits[verb])
		}
	}
}

// TestSupervise: a program's exit status is its own, and what it leaves running in good time runs on.
func TestSupervise(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 3": 3} {
		if got, err := supervise(exec.Command("sh", "-c", script), time.Minute); err != nil || got != want {
			t.Errorf("%s: got %d, %v", script, got, err)
		}
	}
	if _, err := supervise(exec.Command("sh", "-c", "kill -9 $$"), time.Minute); err == nil {
		t.Error("what was killed by another is a success")
	}
	if _, err := supervise(exec.Command("/no/such/runtime"), time.Minute); err == nil {
		t.Error("what is not there is a success")
	}
	left := leavesRunning(t, "exit 0", time.Minute)
	if err := unix.Kill(left, 0); err != nil {
		t.Errorf("what it left running: %v", err)
	}
	if err := killChildren(); err != nil {
		t.Error(err)
	}
}

// leavesRunning has a program start another, in a session of its own and of which it is not the parent any more, and returns
// that one.
func leavesRunning(t *testing.T, then string, limit time.Duration) (pid int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pid")
	script := `(setsid sh -c 'echo $$ >` + file + `.new; mv ` + file + `.new ` + file + `; exec sleep 1000' &); until test -e ` + file + `; do :; done; ` + then
	_, err := supervise(exec.Command("sh", "-c", script), limit)
	if late := err != nil && strings.Contains(err.Error(), "did not end within"); late != (then != "exit 0") {
		t.Fatalf("got %v", err)
	}
	text, err := os.ReadFile(file)
	if err == nil {
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// TestAProgramThatHangs is killed, with all that it has started, also what has left its session.
func TestAProgramThatHangs(t *testing.T) {
	left := leavesRunning(t, "exec sleep 1000", 2*time.Second)
	if err := unix.Kill(left, 0); err == nil {
		t.Error("what it started runs on")
	}
}
