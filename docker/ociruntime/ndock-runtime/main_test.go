package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// packages are all that the program is made of beside the standard library. Each start of a server initialises them three to
// five times: another has to be worth that.
var packages = strings.Fields(`
	github.com/google/renameio/v2
	github.com/ovn-kubernetes/libovsdb/ovsdb
	github.com/safchain/ethtool
	github.com/vishvananda/netlink
	github.com/vishvananda/netlink/nl
	github.com/vishvananda/netns
	golang.org/x/sys/unix
	ndock/docker/agent
	ndock/docker/durable
	ndock/docker/network
	ndock/docker/ociruntime
	ndock/docker/ociruntime/ndock-runtime
`)

func TestPackages(t *testing.T) {
	t.Parallel()
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Skip(err)
	}
	out, err := exec.Command(goCommand, "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]bool{}
	for _, name := range packages {
		wanted[name] = true
	}
	for _, name := range strings.Fields(string(out)) {
		if !wanted[name] {
			t.Errorf("it is made of %s too", name)
		}
		delete(wanted, name)
	}
	if len(wanted) > 0 {
		t.Errorf("it is not made of %v any more", wanted)
	}
}

// TestCommand builds the program and runs it as runc does, and as Docker Engine does with runc's arguments.
func TestCommand(t *testing.T) {
	t.Parallel()
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "ndock-runtime")
	if out, err := exec.Command(goCommand, "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	testSignals(t, program, dir)
	runc := exec.Command("ln", "-s", "/bin/echo", filepath.Join(dir, "runc"))
	if out, err := runc.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, test := range []struct {
		args, stdin, want string
		fails             bool
	}{
		{"--root /run/x kill id 15", "", "--root /run/x kill id 15\n", false},
		{"features", "", "features\n", false},
		{"node hook join " + dir, "{}", "ndock: runc names no container: this is a hook of runc's, and not for people\n", true},
		{"node hook leave " + dir, "nonsense", "ndock: read the container's state from runc: invalid character 'o' in literal null (expecting 'u')\n", true},
	} {
		command := exec.Command(program, strings.Fields(test.args)...)
		command.Stdin, command.Env = strings.NewReader(test.stdin), []string{"PATH=" + dir}
		out, err := command.CombinedOutput()
		if string(out) != test.want || (err != nil) != test.fails {
			t.Errorf("%s: %v\n%s", test.args, err, out)
		}
	}
}

// testSignals tells a hook to end, as a host that is shut down does, while it has not read all that it needs.
func testSignals(t *testing.T, program, dir string) {
	t.Helper()
	var said strings.Builder
	hook := exec.Command(program, "node", "hook", "leave", dir)
	hook.Stderr = &said
	stdin, err := hook.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hook.Start(); err != nil {
		t.Fatal(err)
	}
	for range 100000 { // until it is past the start of the Go runtime, which SIGTERM still ends
		if status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", hook.Process.Pid)); strings.Contains(string(status), "SigIgn:\t0000000000004002\n") {
			break
		}
	}
	if err := hook.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	stdin.Close()
	if err := hook.Wait(); hook.ProcessState.ExitCode() != 1 || !strings.Contains(said.String(), "read the container's state") {
		t.Errorf("a hook that was told to end: %v, and said %q", err, &said)
	}
}
