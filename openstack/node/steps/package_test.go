package steps

import (
	"os"
	"strings"
	"testing"

	"ndock/openstack/node"
	"ndock/openstack/node/layout"
	"ndock/openstack/node/layout/layouttest"
)

const (
	packageProgram = "/usr/bin/ndock"
	packageUnit    = "/usr/lib/systemd/system/ndock-agent.service"
	setupsUnit     = "/etc/systemd/system/ndock-agent.service"
	setupsDropIn   = "/etc/systemd/system/ndock-agent.service.d/ndock.conf"
)

// installPackage does what dpkg and rpm do with ndock's package.
func (f *fakeMachine) installPackage() {
	f.t.Helper()
	f.put(layout.PackageMarker, "1.0\n", 0o644)
	f.put(packageProgram, "ndock of today", 0o755)
	f.put(smallProgram, string(f.Runtime), 0o755)
	if f.systemd {
		f.put(packageUnit, strings.Replace(string(agentUnit), "/usr/local/bin/", "/usr/bin/", 1), 0o644)
	}
	program, completions := f.Program, f.Completions
	f.Machine = f.machine()
	f.Program, f.Completions = program, completions
}

// What the package has is not written beside it, and stays when the node is torn down.
func TestSetupByAPackage(t *testing.T) {
	onBoth(t, func(t *testing.T, f *fakeMachine) {
		f.installPackage()
		before := f.tree()
		said, err := f.setup()
		f.must(err)
		for _, path := range []string{f.Layout.AgentFile, manPage, bashFile, setupsUnit, setupsDropIn} {
			if f.exists(path) || strings.Contains(said, path) {
				t.Errorf("%s is there: %t; said\n%s", path, f.exists(path), said)
			}
		}
		if script := "/etc/init.d/ndock-agent"; !f.systemd && !strings.Contains(f.content(script), "\nPROGRAM=/usr/bin/ndock\n") {
			t.Errorf("the script is\n%s", f.content(script))
		}
		if enabled, err := f.Services.Enabled(t.Context(), (&agent{}).service()); err != nil || !enabled || f.pid(agentName) == 0 || !f.exists(rulesFile) {
			t.Errorf("the agent is enabled: %t, its process %d (%v)", enabled, f.pid(agentName), err)
		}
		if plan := f.plan(); plan != "" {
			t.Errorf("again it planned\n%s", plan)
		}
		f.wantRuntime(ourRuntime, smallProgram)
		if said := f.teardown(); !strings.Contains(said, "stopped service ndock-agent") || strings.Contains(said, packageProgram) {
			t.Errorf("said\n%s", said)
		}
		if after := f.tree(); after != before || f.pid(agentName) != 0 {
			t.Errorf("the tree was\n%s\nand is\n%s", before, after)
		}
		if said := f.teardown(); said != "" {
			t.Errorf("again it said\n%s", said)
		}
	})
}

// A machine that was set up by a copy of ndock becomes that of the package.
func TestThePackageTakesOver(t *testing.T) {
	onBoth(t, func(t *testing.T, f *fakeMachine) {
		_, err := f.setup()
		f.must(err)
		earlier := f.pid(agentName)
		f.installPackage()
		said, err := f.setup()
		f.must(err)
		for _, path := range []string{f.Layout.AgentFile, manPage, bashFile, setupsUnit} {
			if f.exists(path) {
				t.Errorf("%s is left; said\n%s", path, said)
			}
		}
		if f.pid(agentName) == earlier || f.pid(agentName) == 0 {
			t.Error("the agent is still that of before")
		}
		if plan := f.plan(); plan != "" {
			t.Errorf("again it planned\n%s", plan)
		}
		if got := f.status("package"); got.State != node.Done || !strings.Contains(got.Detail, packageProgram) {
			t.Errorf("the status is %v", got)
		}
		f.teardown()
		fresh := newFake(t, f.systemd)
		fresh.installPackage()
		if after, want := f.tree(), fresh.tree(); withoutEmpty(after) != withoutEmpty(want) {
			t.Errorf("the tree is\n%s\nand of the package alone it is\n%s", after, want)
		}
	})
}

// withoutEmpty leaves out directories, which the package's may be made before setup's.
func withoutEmpty(tree string) string {
	var b strings.Builder
	for line := range strings.Lines(tree) {
		if !strings.Contains(line, " drwx") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// A setup that fails has the agent of before run, by the unit of before.
func TestAFailedTakeover(t *testing.T) {
	f := newFake(t, true)
	_, err := f.setup()
	f.must(err)
	f.installPackage()
	f.put("/usr/lib/python3/dist-packages/nova/virt/docker/driver.py", "old", 0o644)
	before := f.tree()
	f.deaf["nova-compute"] = true
	if _, err := f.setup(); err == nil {
		t.Fatal("it did not fail")
	}
	if after := f.tree(); f.pid(agentName) == 0 || after != before {
		t.Errorf("process %d; the tree was\n%s\nand is\n%s", f.pid(agentName), before, after)
	}
}

// While servers run that another program than the package's ends, that program stays.
func TestThePackageLeavesTheProgramOfRunningServers(t *testing.T) {
	f, _ := ofBefore(t)
	f.info.Running, f.info.Servers = 1, []string{"4e5c4f5b-0000-4000-8000-000000000000"}
	f.installPackage()
	_, err := f.setup()
	f.must(err)
	if !f.exists(f.Layout.AgentFile) {
		t.Error("the program that the engine calls was removed")
	}
	f.wantRuntime(wholeRuntime, f.Layout.AgentFile)
	f.info.Running, f.info.Servers = 0, nil
	_, err = f.setup()
	f.must(err)
	if f.exists(f.Layout.AgentFile) {
		t.Error("it is left although nothing calls it any more")
	}
	f.wantRuntime(ourRuntime, smallProgram)
}

func TestAnotherNdockThanThePackages(t *testing.T) {
	for name, test := range map[string]struct{ path, want string }{
		"program": {packageProgram, "this ndock is another one than " + packageProgram + " of the package that is installed here"},
		"runtime": {smallProgram, smallProgram + " is not as ndock's package has it"},
	} {
		f := newFake(t, true)
		f.installPackage()
		f.put(test.path, "of another day", 0o755)
		before := f.tree()
		_, err := f.setup()
		if err == nil || strings.ReplaceAll(err.Error(), f.root, "") != "agent: "+test.want || hintOf(err) == "" {
			t.Errorf("%s: got %v, hint %q", name, err, hintOf(err))
		}
		if f.tree() != before || len(f.commands) > 0 {
			t.Errorf("%s: something was changed; ran %q", name, f.commands)
		}
	}
}

// The package's unit is for nova-compute of Debian, and the rest stands in a drop-in.
func TestThePackagesUnitOnOtherLayouts(t *testing.T) {
	f := rdo(t)
	f.installPackage()
	before := f.tree()
	_, err := f.setup()
	f.must(err)
	if got := f.content(setupsDropIn); !strings.HasSuffix(got, "\n[Unit]\nBefore=openstack-nova-compute.service\n") || strings.Contains(got, "ExecStart") {
		t.Errorf("the drop-in is\n%s", got)
	}
	f.teardown()
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}

func TestThePackagesUnitForAnotherUser(t *testing.T) {
	f := fakeOf(t, true, layouttest.DevStack)
	f.installPackage()
	got := string((&agent{Machine: f.Machine}).dropIn())
	if want := "[Unit]\nBefore=devstack@n-cpu.service\n[Service]\nExecStart=\nExecStart=/usr/bin/ndock node agent --user stack\n"; !strings.HasSuffix(got, want) {
		t.Errorf("the drop-in is\n%s", got)
	}
}

// A registry's unit may run the copy of before. It keeps it until it is deployed anew.
func TestThePackageLeavesTheProgramOfAnotherService(t *testing.T) {
	f := newFake(t, true)
	_, err := f.setup()
	f.must(err)
	unit := "/etc/systemd/system/ndock-registry.service"
	f.put(unit, "[Service]\nExecStart=\""+f.Layout.AgentFile+"\" registry serve\n", 0o644)
	f.installPackage()
	_, err = f.setup()
	f.must(err)
	if !f.exists(f.Layout.AgentFile) {
		t.Error("it was removed")
	}
	f.must(os.Remove(f.path(unit)))
	if got := f.plan(); !strings.Contains(got, "package: remove "+f.Layout.AgentFile) {
		t.Errorf("planned\n%s", got)
	}
}
