package ociruntime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ndock/docker/network"
	"ndock/docker/network/networktest"
	"ndock/docker/ociruntime/programtest"
)

// A stubborn container has a process, and a program that does what a script says.
type stubborn struct {
	choice      Choice
	root, state string
	process     *exec.Cmd
	ended       chan struct{}
}

// newStubborn makes one. Its cgroup is a directory with this name, in which a file stands for the kernel's.
func newStubborn(t *testing.T, script, cgroup string) *stubborn {
	t.Helper()
	root, dir := t.TempDir(), programtest.Dir(t)
	s := &stubborn{root: root, state: filepath.Join(root, containerID), process: exec.Command("sleep", "1000"), ended: make(chan struct{})}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.process.Wait(); close(s.ended) }()
	t.Cleanup(func() { _ = s.process.Process.Kill(); <-s.ended })
	cgroup = filepath.Join(dir, strings.ReplaceAll(cgroup, "ID", containerID))
	for path, text := range map[string]string{
		filepath.Join(cgroup, "below", "cgroup.procs"):      strconv.Itoa(s.process.Process.Pid) + "\n0\n1\n",
		filepath.Join(s.state, "state.json"):                `{"cgroup_paths":{"":"` + cgroup + `"}}`,
		filepath.Join(root, "runsc-"+containerID+".sock"):   "",
		filepath.Join(root, strings.Repeat("0", 64), "its"): "",
		filepath.Join(dir, "runtime"):                       "#!/bin/sh\nset -e\n" + script + "\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.choice = Choice{Name: "gvisor", Path: filepath.Join(dir, "runtime")}
	return s
}

func (s *stubborn) isAlive() bool {
	select {
	case <-s.ended:
		return false
	case <-time.After(50 * time.Millisecond): // it was killed before attempt returned, and is only to be waited for
		return true
	}
}

func (s *stubborn) isKept() bool {
	_, err := os.Stat(s.state)
	return err == nil
}

// attempt has another process do a verb, whose children a program that hangs may leave: the container's process is none of them. It
// returns the exit status, and what was said of it.
func (s *stubborn) attempt(verb string, limit time.Duration) (status int, said string) {
	again := exec.Command(os.Args[0], "-test.run=^TestAttempt$")
	args := "--root " + s.root + " " + strings.ReplaceAll(verb, "ID", containerID)
	again.Env = append(os.Environ(), "NDOCK_TEST_PROGRAM="+s.choice.Path, "NDOCK_TEST_ARGS="+args, "NDOCK_TEST_LIMIT="+limit.String())
	text, _ := again.CombinedOutput()
	return again.ProcessState.ExitCode(), string(text)
}

// TestAttempt is what attempt runs.
func TestAttempt(t *testing.T) {
	limit, err := time.ParseDuration(os.Getenv("NDOCK_TEST_LIMIT"))
	if err != nil {
		t.Skip("only for other tests")
	}
	status, err := (Choice{Path: os.Getenv("NDOCK_TEST_PROGRAM")}).attempt(strings.Fields(os.Getenv("NDOCK_TEST_ARGS")), limit)
	if err != nil {
		os.Stderr.WriteString(err.Error())
		status = 1
	}
	os.Exit(status)
}

// TestASandboxThatDoesNotEnd is ended without its program: what a tenant can have taken over is not asked.
func TestASandboxThatDoesNotEnd(t *testing.T) {
	const refuses, hangs, own = "exit 3", "exec sleep 1000", "docker/ID"
	for _, c := range []struct {
		verb, script, cgroup string
		status               int
		lives, kept          bool
	}{
		{"kill ID 9", refuses, own, 0, false, true},
		{"kill --all ID KILL", hangs, own, 0, false, true},
		{"kill ID 9", "", own, 0, true, true}, // it says that it does it
		{"kill ID 15", refuses, own, 3, true, true},
		{"pause ID", refuses, own, 3, true, true},
		{"kill ID 9", refuses, "docker", 3, true, true}, // others' too
		{"kill ID 9", refuses, "docker/ID/../..", 3, true, true},
		{"delete --force ID", refuses, own, 0, false, false},
		{"delete ID", hangs + " --", own, 0, false, false},
		{"delete --force ID", refuses, "docker", 3, true, true},
		{"delete ID", `case "$*" in *--force*) ;; *) exit 3;; esac`, "docker", 0, true, true}, // it says that it does it
		{"create --bundle /b ID", refuses, own, 3, false, false},
		{"start ID", refuses, own, 3, false, false},
		{"delete ID", `case "$*" in *--force*) rm -r $2/$5;; *) exit 3; esac`, own, 0, false, false}, // it can as soon as no process is left
	} {
		limit := time.Minute
		s := newStubborn(t, c.script, c.cgroup)
		if strings.HasPrefix(c.script, hangs) {
			s, limit = newStubborn(t, `case "$*" in *--force*) exit 3;; esac; `+hangs, c.cgroup), 300*time.Millisecond
		}
		status, err := s.attempt(c.verb, limit)
		if status != c.status || s.isAlive() != c.lives || s.isKept() != c.kept {
			t.Errorf("%s, %q, %s: got %d, %s; alive %t, kept %t", c.verb, c.script, c.cgroup, status, err, s.isAlive(), s.isKept())
		}
		if _, err := os.Stat(filepath.Join(s.root, strings.Repeat("0", 64), "its")); err != nil {
			t.Errorf("%s: of another container: %v", c.verb, err)
		}
	}
}

// TestAServerWithoutItsProgram ends all the same, and leaves nothing that its next start would stumble over.
func TestAServerWithoutItsProgram(t *testing.T) {
	s := newStubborn(t, "", "docker-ID.scope/container")
	s.choice.Path += "-gone"
	for _, verb := range []string{"kill ID 9", "delete ID"} {
		if status, said := s.attempt(verb, time.Minute); status != 0 {
			t.Errorf("%s: got %d, %s", verb, status, said)
		}
	}
	left, err := os.ReadDir(s.root)
	if err != nil || len(left) != 1 || s.isAlive() {
		t.Errorf("left: %v, %v; alive %t", left, err, s.isAlive())
	}
	if status, said := s.attempt("start ID", time.Minute); status != 1 || !strings.Contains(said, "no such file") {
		t.Errorf("start: got %d, %s", status, said)
	}
}

// TestKillCgroups of the kernel's own, of any version: what starts others meanwhile, and what is in one below.
func TestKillCgroups(t *testing.T) {
	root := cgroupRoot
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
		root = filepath.Join(root, "blkio")
	}
	cgroup := filepath.Join(root, "ndock-test-"+strconv.Itoa(os.Getpid()))
	if err := os.MkdirAll(filepath.Join(cgroup, "below"), 0o755); err != nil {
		t.Skip(err)
	}
	if other := filepath.Join(cgroupRoot, "pids"); root != cgroupRoot && os.Mkdir(filepath.Join(other, filepath.Base(cgroup)), 0o755) != nil {
		t.Logf("there is no %s", other)
	}
	t.Cleanup(func() { removeCgroups([]string{cgroup}) })
	process := exec.Command("sh", "-c", `echo $$ >"$1/cgroup.procs" && echo there; while :; do sleep 1000 & sleep 0.01; done`, "sh", filepath.Join(cgroup, "below"))
	stdout, err := process.StdoutPipe()
	if err == nil {
		err = process.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		_ = process.Wait()
		t.Skip("no process can be moved to a cgroup here")
	}
	if !killCgroups([]string{"", filepath.Join(root, "none"), cgroup}) {
		t.Error("it found nothing to kill")
	}
	_ = process.Wait()
	for deadline := time.Now().Add(killLimit); killCgroups([]string{cgroup}); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it goes on")
		}
	}
	for range 2 { // the second time there is none
		removeCgroups([]string{cgroup})
	}
	if left, err := filepath.Glob(filepath.Join(cgroupRoot, "*", filepath.Base(cgroup))); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := os.Stat(cgroup); err == nil {
		t.Error("it is still there")
	}
}

// TestUnplug: a container that its program leaves behind gives its ports back, as one whose hook ran, and the next has them.
func TestUnplug(t *testing.T) {
	ownMounts(t)
	networktest.Own(t)
	if err := unix.Mount("ndock-test", "/run", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	port := network.Port{ID: "3f6a0b1c-d2e4-4f56-8a78-9b0c1d2e3f40", MAC: "fa:16:3e:01:02:03", MTU: 1400, Bridge: "brq3f6a0b1c-d2"}
	dir := t.TempDir()
	if err := network.SetPorts(dir, []network.Port{port}); err != nil {
		t.Fatal(err)
	}
	ports, err := network.Ports(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := network.Plug(ports[0]); err != nil {
		t.Fatal(err)
	}
	was, err := netlink.LinkByName(port.Tap())
	if err != nil {
		t.Fatal(err)
	}
	other := networktest.Another(t)
	if err := network.Join(ports, fmt.Sprintf("/proc/self/fd/%d", other.Fd()), network.NetnsPath(containerID)); err != nil {
		t.Fatal(err)
	}
	other.Close()
	if err := (Choice{Path: "/gone", Server: dir}).unplug(containerID); err != nil {
		t.Error(err)
	}
	end, err := netlink.LinkByIndex(was.Attrs().ParentIndex)
	if err != nil || end.Attrs().ParentIndex != was.Attrs().Index {
		t.Errorf("the port went with the container: %v", err)
	}
	if _, err := os.Stat(network.NetnsPath(containerID)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the container's network is still there: %v", err)
	}
}
