package steps

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"ndock/openstack/node"
	"ndock/openstack/node/dockerd"
	"ndock/openstack/node/jsonedit"
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

// A daemon.json that stays has the engine call the program that it names: that stays too, until it is named no more.
func TestTeardownLeavesAProgramThatDaemonJSONNames(t *testing.T) {
	for name, edit := range map[string]func(content []byte) ([]byte, error){
		"edited": func(content []byte) ([]byte, error) { return jsonedit.Set(content, "true", "debug") },
		"formatted anew": func(content []byte) ([]byte, error) {
			var b bytes.Buffer
			err := json.Indent(&b, content, "", "        ")
			return b.Bytes(), err
		},
	} {
		for program, small := range map[string]bool{smallProgram: true, "/usr/local/bin/ndock": false} {
			f := newFake(t, false)
			if !small {
				f.Runtime = nil
			}
			before := f.tree()
			_, err := f.setup()
			f.must(err)
			content, err := edit([]byte(f.content(dockerd.File)))
			f.must(err)
			f.put(dockerd.File, string(content), 0o644)
			said := f.teardown()
			if !f.exists(program) || !strings.Contains(said, "left "+program+", which /etc/docker/daemon.json names") || !strings.Contains(said, "left /etc/docker/daemon.json as it is") {
				t.Errorf("%s, %s is there: %t; said\n%s", name, program, f.exists(program), said)
			}
			f.must(os.Remove(f.path(dockerd.File)))
			if said = f.teardown(); strings.Contains(said, "stopped service") {
				t.Errorf("%s: said\n%s", name, said)
			}
			if after := f.tree(); after != before {
				t.Errorf("%s: the tree was\n%s\nand is\n%s", name, before, after)
			}
		}
	}
}

// What holds a running container calls the runtime to end it.
func TestAForcedTeardownLeavesTheProgramsOfRunningServers(t *testing.T) {
	f := newFake(t, false)
	before := f.tree()
	_, err := f.setup()
	f.must(err)
	f.info.Running, f.info.Servers, f.Force = 1, []string{"4e5c4f5b-0000-4000-8000-000000000000"}, true
	said := f.teardown()
	for _, program := range []string{smallProgram, "/usr/local/bin/ndock"} {
		if !f.exists(program) || !strings.Contains(said, "left "+program+", by which ") {
			t.Errorf("%s is there: %t; said\n%s", program, f.exists(program), said)
		}
	}
	f.info.Running, f.info.Servers = 0, nil
	f.teardown()
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}

// While an upgrade waits, the nova-compute of before goes on booting servers, with the program that the engine calls by then.
func TestAFailedUpgradeLeavesTheProgramOfServersThatStartedMeanwhile(t *testing.T) {
	f, tree := ofBefore(t)
	f.put("/usr/lib/python3/dist-packages/nova/virt/docker/driver.py", "old", 0o644)
	f.deaf["nova-compute"] = true
	f.after[fmt.Sprintf("kill -HUP %d", f.pid("docker"))] = func() {
		f.info.Running, f.info.Servers = 1, []string{"4e5c4f5b-0000-4000-8000-000000000000"}
	}
	said, err := f.setup()
	if err == nil || f.runtimes["ndock"] != "/usr/local/bin/ndock" || !strings.Contains(f.content(dockerd.File), wholeRuntime) {
		t.Fatalf("the engine calls %q; got %v, said\n%s", f.runtimes["ndock"], err, said)
	}
	if !f.exists(smallProgram) || !strings.Contains(said, "left "+f.path(smallProgram)+", by which ") {
		t.Errorf("it is there: %t; said\n%s", f.exists(smallProgram), said)
	}
	f.info.Running, f.info.Servers, f.deaf, f.after = 0, nil, map[string]bool{}, map[string]func(){}
	f.teardown()
	if after := f.tree(); after != tree {
		t.Errorf("the tree was\n%s\nand is\n%s", tree, after)
	}
}

// An engine that goes on calling the program, whatever daemon.json says by now, must find it.
func TestAFailedRollbackLeavesTheProgramThatTheEngineCalls(t *testing.T) {
	f, _ := ofBefore(t)
	f.put("/usr/lib/python3/dist-packages/nova/virt/docker/driver.py", "old", 0o644)
	f.deaf["nova-compute"] = true
	f.info.Servers = []string{"4e5c4f5b-0000-4000-8000-000000000000"}
	f.after[fmt.Sprintf("kill -HUP %d", f.pid("docker"))] = func() { f.stubborn = true }
	said, err := f.setup()
	if err == nil || f.runtimes["ndock"] != smallProgram || !f.exists(smallProgram) {
		t.Errorf("the engine calls %q, which is there: %t; got %v, said\n%s", f.runtimes["ndock"], f.exists(smallProgram), err, said)
	}
}

// Whoever writes JSON anew may order its keys in another way, and means the same.
func TestTheRuntimeOfRunningServersWhateverTheOrderOfItsKeys(t *testing.T) {
	f, _ := ofBefore(t)
	f.put(dockerd.File, strings.Replace(f.content(dockerd.File), wholeRuntime, `"ndock": {"runtimeArgs": ["node", "runtime"], "path": "/usr/local/bin/ndock"}`, 1), 0o600)
	f.info.Running = 1
	if got := f.plan(); strings.Contains(got, "runtime ndock") {
		t.Errorf("planned\n%s", got)
	}
}

// What was edited between two setups is nobody's file of before: it has setup's settings.
func TestADaemonJSONThatWasEditedBeforeAnUpgrade(t *testing.T) {
	f, _ := ofBefore(t)
	content, err := jsonedit.Set([]byte(f.content(dockerd.File)), `"local"`, "log-driver")
	f.must(err)
	f.put(dockerd.File, string(content), 0o600)
	_, err = f.setup()
	f.must(err)
	f.wantRuntime(ourRuntime, smallProgram)
	edited := f.content(dockerd.File)
	said := f.teardown()
	if got := f.content(dockerd.File); got != edited || !f.exists(smallProgram) || !strings.Contains(said, "left /etc/docker/daemon.json as it is: it was edited since") {
		t.Errorf("%s is there: %t; said\n%s; the file is\n%s", smallProgram, f.exists(smallProgram), said, got)
	}
}

// A first setup that fails after nova-compute was restarted may have booted servers. What holds them calls the program, whichever
// it is, and the record says that teardown is to remove it.
func TestAFailedSetupLeavesTheProgramOfServersThatStartedMeanwhile(t *testing.T) {
	for program, small := range map[string]bool{smallProgram: true, "/usr/local/bin/ndock": false} {
		f := newFake(t, false)
		if !small {
			f.Runtime = nil
		}
		tree := f.tree()
		f.deaf["nova-compute"] = true // the hypervisor does not come
		f.after["service nova-compute restart"] = func() {
			f.info.Running, f.info.Servers = 1, []string{"4e5c4f5b-0000-4000-8000-000000000000"}
		}
		said, err := f.setup()
		if err == nil || !f.exists(program) || !strings.Contains(said, "left "+f.path(program)+", by which ") {
			t.Errorf("%s is there: %t; got %v, said\n%s", program, f.exists(program), err, said)
		}
		f.info.Running, f.info.Servers, f.after = 0, nil, map[string]func(){}
		f.teardown()
		if after := f.tree(); after != tree {
			t.Errorf("%s: the tree was\n%s\nand is\n%s", program, tree, after)
		}
	}
}

// A daemon.json that could not be put back names the program still.
func TestAFailedSetupLeavesTheProgramThatDaemonJSONNames(t *testing.T) {
	for program, small := range map[string]bool{smallProgram: true, "/usr/local/bin/ndock": false} {
		f := newFake(t, false)
		if !small {
			f.Runtime = nil
		}
		f.put(dockerd.File, `{"debug": true}`, 0o600)
		f.deaf["nova-compute"] = true
		f.after["service nova-compute restart"] = func() { // nobody can write there any more
			clear(f.after)
			fill(t, f.path("/etc/docker"), 1)
			f.put(dockerd.File, `{"runtimes": {"ndock": {"path": "`+program+`"}}}`+strings.Repeat(" ", os.Getpagesize()-80), 0o644)
		}
		said, err := f.setup()
		if err == nil || !strings.Contains(err.Error(), "undoing daemon.json failed") || !f.exists(program) {
			t.Errorf("%s is there: %t; got %v, said\n%s", program, f.exists(program), err, said)
		}
	}
}

// What the agent knows of layers is no one's when the agent is gone.
func TestTeardownRemovesWhatIsKnownOfLayers(t *testing.T) {
	f, before := ofBefore(t)
	f.put("/var/lib/ndock/layers/"+strings.Repeat("0", 64), "{}", 0o600)
	f.teardown()
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}
