package steps

import (
	"os"
	"strings"
	"testing"

	"ndock/openstack/node"
	"ndock/openstack/node/dockerd"
)

const (
	smallProgram = "/usr/libexec/ndock/ndock-runtime"
	wholeRuntime = `"ndock": {"path": "/usr/local/bin/ndock", "runtimeArgs": ["node", "runtime"]}`
)

// ofBefore returns a machine that was set up by an ndock without ndock-runtime, and its tree before that.
func ofBefore(t *testing.T) (f *fakeMachine, tree string) {
	f = newFake(t, false)
	f.put(dockerd.File, `{"debug": true}`, 0o600)
	tree = f.tree()
	today := f.Runtime
	f.Runtime = nil
	_, err := f.setup()
	f.must(err)
	if got := f.content(dockerd.File); !strings.Contains(got, wholeRuntime) || f.exists(smallProgram) {
		t.Fatalf("without the program daemon.json is\n%s", got)
	}
	f.Runtime = today
	return f, tree
}

// wantRuntime tells whether file and engine have the runtime so.
func (f *fakeMachine) wantRuntime(entry, program string) {
	f.t.Helper()
	if got := f.content(dockerd.File); !strings.Contains(got, entry) || f.runtimes["ndock"] != program {
		f.t.Errorf("the engine calls %q, and daemon.json is\n%s", f.runtimes["ndock"], got)
	}
	if plan := f.plan(); plan != "" {
		f.t.Errorf("left to do\n%s", plan)
	}
}

// What holds a running container calls the runtime by the path of its start.
func TestAnUpgradeKeepsTheRuntimeOfRunningServers(t *testing.T) {
	f, tree := ofBefore(t)
	f.info.Running = 1
	_, err := f.setup()
	f.must(err)
	f.wantRuntime(wholeRuntime, "/usr/local/bin/ndock")
	if got := f.status("daemon.json"); got.State != node.Done || !strings.Contains(got.Detail, "run setup once while no container runs") {
		t.Errorf("the status is %v", got)
	}
	if !f.exists(smallProgram) {
		t.Error("the program is not there")
	}
	f.info.Running = 0
	_, err = f.setup()
	f.must(err)
	f.wantRuntime(ourRuntime, smallProgram)
	if got := f.status("daemon.json").Detail; strings.Contains(got, "run setup once") {
		t.Errorf("the status is %v", got)
	}
	f.teardown()
	if after := f.tree(); after != tree {
		t.Errorf("the tree was\n%s\nand is\n%s", tree, after)
	}
}

// An ndock without the program, as of `go install`, does not take it from running servers either.
func TestAnNdockWithoutTheProgram(t *testing.T) {
	f := newFake(t, false)
	tree := f.tree()
	_, err := f.setup()
	f.must(err)
	f.Runtime, f.info.Running = nil, 1
	_, err = f.setup()
	f.must(err)
	f.wantRuntime(ourRuntime, smallProgram)
	f.info.Running = 0
	_, err = f.setup()
	f.must(err)
	f.wantRuntime(wholeRuntime, "/usr/local/bin/ndock")
	f.teardown()
	if after := f.tree(); after != tree {
		t.Errorf("the tree was\n%s\nand is\n%s", tree, after)
	}
}

// While the engine does not run it cannot be told whether servers do.
func TestTheRuntimeStaysWhileTheEngineIsDown(t *testing.T) {
	f, _ := ofBefore(t)
	f.stop("docker")
	if got := f.plan(); strings.Contains(got, "have runtime ndock be") {
		t.Errorf("planned\n%s", got)
	}
}

// A failed upgrade leaves no engine that calls a program that is gone.
func TestAFailedUpgradeCallsTheRuntimeOfBefore(t *testing.T) {
	f, _ := ofBefore(t)
	f.put("/usr/lib/python3/dist-packages/nova/virt/docker/driver.py", "old", 0o644)
	before := f.tree()
	f.deaf["nova-compute"] = true
	said, err := f.setup()
	if err == nil || !strings.Contains(said, "have runtime ndock be "+smallProgram) {
		t.Fatalf("got %v, said\n%s", err, said)
	}
	if after := f.tree(); after != before || f.runtimes["ndock"] != "/usr/local/bin/ndock" {
		t.Errorf("the engine calls %q; the tree was\n%s\nand is\n%s", f.runtimes["ndock"], before, after)
	}
}

// Root runs the program at each start of a server.
func TestAProgramThatIsNotAsItShouldBe(t *testing.T) {
	for name, change := range map[string]func(f *fakeMachine) error{
		"other bytes": func(f *fakeMachine) error { return os.WriteFile(f.path(smallProgram), []byte("another"), 0o755) },
		"gone":        func(f *fakeMachine) error { return os.Remove(f.path(smallProgram)) },
		"mode":        func(f *fakeMachine) error { return os.Chmod(f.path(smallProgram), 0o777) },
		"owner": func(f *fakeMachine) error {
			if os.Getuid() != 0 {
				t.Skip("only root can give files away")
			}
			return os.Chown(f.path(smallProgram), 12345, 0)
		},
	} {
		f := newFake(t, false)
		_, err := f.setup()
		f.must(err)
		f.must(change(f))
		if got := f.status("agent"); got.State != node.ToDo || !strings.Contains(got.Detail, "write "+f.path(smallProgram)) {
			t.Errorf("%s: the status is %v", name, got)
		}
		_, err = f.setup()
		f.must(err)
		if plan := f.plan(); plan != "" || f.content(smallProgram) != "ndock-runtime of today" {
			t.Errorf("%s: still planned\n%s", name, plan)
		}
	}
}

// Whoever may write to its directory could put another program there.
func TestADirectoryOfTheProgramThatIsNotRoots(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root is told")
	}
	for _, dir := range []string{"/usr/libexec/ndock", "/usr/libexec"} {
		f := newFake(t, false)
		_, err := f.setup()
		f.must(err)
		f.must(os.Chmod(f.path(dir), 0o777))
		if got := f.status("agent"); got.State != node.Failed || !strings.Contains(got.Detail, "others than root may write to the directory of "+f.path(smallProgram)) {
			t.Errorf("%s: the status is %v", dir, got)
		}
		if _, err := f.setup(); err == nil {
			t.Errorf("%s: setup went on", dir)
		}
	}
	f := newFake(t, false)
	f.must(os.Chmod(f.path("/usr/libexec"), 0o777))
	if _, err := f.setup(); err == nil {
		t.Error("setup has written into a directory of others")
	}
}

// A package's program stays.
func TestTeardownLeavesAProgramThatWasThere(t *testing.T) {
	f := newFake(t, false)
	f.put(smallProgram, "of a package", 0o755)
	_, err := f.setup()
	f.must(err)
	f.teardown()
	if !f.exists(smallProgram) {
		t.Error("it was removed")
	}
}
