package steps

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ndock/openstack/node/dockerd"
	"ndock/openstack/node/record"
	"ndock/openstack/node/system"
)

// killed is what a test ends a setup or a teardown with: nothing is rolled back.
type killed struct{}

// kill kills before a command of what runs.
func (f *fakeMachine) kill(command string, run func()) {
	f.t.Helper()
	f.before[command] = func() { panic(killed{}) }
	defer func() {
		f.t.Helper()
		delete(f.before, command)
		if recover() != (killed{}) {
			f.t.Errorf("nothing was killed at %s", command)
		}
	}()
	run()
}

// A teardown that is killed while the engine is given its settings back leaves what the next teardown finds, or a setup before
// it: daemon.json as the operator had it, and an engine that is as before.
func TestATeardownThatIsKilled(t *testing.T) {
	for _, file := range []string{"", `{"debug": true}`} {
		machine := func() (f *fakeMachine, tree string) {
			f = newFake(t, false)
			if file != "" {
				f.put(dockerd.File, file, 0o600)
			}
			tree = f.tree()
			_, err := f.setup()
			f.must(err)
			f.commands = nil
			return f, tree
		}
		whole, _ := machine()
		whole.teardown()
		for _, command := range whole.commands {
			if !strings.HasPrefix(command, "kill -HUP") && command != "service docker restart" {
				continue
			}
			for _, again := range []bool{false, true} {
				f, tree := machine()
				f.kill(command, func() { f.teardown() })
				if again {
					_, err := f.setup()
					f.must(err)
					if plan := f.plan(); plan != "" {
						t.Errorf("killed before %s: setup left to do\n%s", command, plan)
					}
				}
				said := f.teardown()
				if after := f.tree(); after != tree || f.live || !f.info.Bridge {
					t.Errorf("%q, killed before %s, then a setup: %t: live-restore is %t, the bridge is there: %t, said\n%s\nthe tree was\n%s\nand is\n%s",
						file, command, again, f.live, f.info.Bridge, said, tree, after)
				}
			}
		}
	}
}

// The record of such a file is written before the file itself is.
func TestATeardownThatIsKilledBeforeItWrites(t *testing.T) {
	f := newFake(t, false)
	f.put(dockerd.File, `{"debug": true}`, 0o600)
	tree := f.tree()
	_, err := f.setup()
	f.must(err)
	f.kill("service docker restart", func() { f.teardown() })
	f.must((&daemonJSON{Machine: f.Machine}).setMeanwhile(&record.Meanwhile{Content: []byte("{}"), LiveRestore: true}))
	said := f.teardown()
	if after := f.tree(); after != tree || f.live {
		t.Errorf("live-restore is %t, said\n%s\nthe tree was\n%s\nand is\n%s", f.live, said, tree, after)
	}
}

// What is recorded and not edited yet, or not forgotten yet, was not edited by anybody.
func TestADaemonJSONThatIsRecordedAndAsBefore(t *testing.T) {
	f := newFake(t, false)
	f.put(dockerd.File, `{"debug": true}`, 0o600)
	tree := f.tree()
	f.must(f.record().Keep(new(system.Changes), dockerd.File))
	said := f.teardown()
	if after := f.tree(); after != tree || strings.Contains(said, "edited") {
		t.Errorf("said\n%s\nthe tree was\n%s\nand is\n%s", said, tree, after)
	}
}

// Docker's manual shows files with one setting, in the very words of setup's: they are the operator's.
func TestADaemonJSONOfDockersManual(t *testing.T) {
	for _, file := range []string{"{\n  \"live-restore\": true\n}\n", "{\n  \"userns-remap\": \"default\"\n}\n"} {
		f := newFake(t, false)
		f.put(dockerd.File, file, 0o600)
		f.live = strings.Contains(file, "live-restore")
		live, tree := f.live, f.tree()
		_, err := f.setup()
		f.must(err)
		f.teardown()
		if after := f.tree(); after != tree || f.live != live {
			t.Errorf("live-restore is %t; the tree was\n%s\nand is\n%s", f.live, tree, after)
		}
	}
}

// Who removes daemon.json has no file of before any more.
func TestADaemonJSONThatWasRemovedBetweenTwoSetups(t *testing.T) {
	f := newFake(t, false)
	tree := f.tree()
	f.put(dockerd.File, `{"debug": true}`, 0o600)
	_, err := f.setup()
	f.must(err)
	f.must(system.RemoveFile(f.path(dockerd.File)))
	_, err = f.setup()
	f.must(err)
	said := f.teardown()
	if after := f.tree(); after != tree {
		t.Errorf("said\n%s\nthe tree was\n%s\nand is\n%s", said, tree, after)
	}
}

// A setup, or a teardown, that was killed between two writes has recorded what is not there, or made what is empty yet.
func TestWhatAKilledSetupLeftIsTornDown(t *testing.T) {
	f := newFake(t, true)
	f.put("/sys/fs/selinux/enforce", "1", 0o644)
	f.must(os.MkdirAll(f.path("/usr/share"), 0o755))
	tree := f.tree()
	f.put(selinuxFile, "", 0o644)
	f.must(f.record().Amend(func(r *record.Record) { r.Program, r.Runtime = f.Layout.AgentFile, f.Layout.Runtime }))
	for _, dir := range []string{filepath.Dir(f.Layout.Runtime), filepath.Dir(f.Layout.AgentConf), "/usr/lib/python3/dist-packages/nova/virt/docker"} {
		f.must(os.Mkdir(f.path(dir), 0o755))
	}
	said := f.teardown()
	if after := f.tree(); after != tree {
		t.Errorf("said\n%s\nthe tree was\n%s\nand is\n%s", said, tree, after)
	}
}

// A page that an upgrade was killed before it wrote is still the former setup's.
func TestAnUpgradeThatIsKilledBeforeItWritesItsPages(t *testing.T) {
	f := newFake(t, false)
	tree := f.tree()
	_, err := f.setup()
	f.must(err)
	for _, release := range []string{"tomorrow", "the day after"} {
		f.must(f.record().Claim(new(system.Changes), helpFiles(release)))
	}
	said := f.teardown()
	if after := f.tree(); after != tree {
		t.Errorf("said\n%s\nthe tree was\n%s\nand is\n%s", said, tree, after)
	}
}

// An engine that goes on without the userns-remap of its file would lose sight of all containers at a later start.
func TestASetupThatIsKilledBeforeUsernsRemapIsInForce(t *testing.T) {
	const restart = "service docker restart"
	f := newFake(t, false)
	f.stop("docker")
	f.must(os.Remove(f.path("/usr/sbin/dockerd")))
	f.put(dockerd.File, `{"bridge": "br0", "iptables": false, "ip6tables": false, "ip-forward": false}`, 0o600)
	f.info.Security = []string{"apparmor"}
	f.kill(restart, func() { _, _ = f.setup() })
	if got := f.content(dockerd.File); !strings.Contains(got, `"userns-remap": "default"`) {
		t.Fatalf("daemon.json is\n%s", got)
	}
	f.commands = nil
	f.after[restart] = func() { f.info.Security = append(f.info.Security, "userns") }
	_, err := f.setup()
	f.must(err)
	if !slices.Contains(f.commands, restart) || f.plan() != "" {
		t.Errorf("ran %q, and planned\n%s", f.commands, f.plan())
	}
}

// An engine is setup's own from before it is installed: else it goes without userns-remap where setup was killed soon after.
func TestASetupThatIsKilledWhileItInstallsTheEngine(t *testing.T) {
	f := newFake(t, false)
	f.stop("docker")
	f.must(os.Remove(f.path("/usr/sbin/dockerd")))
	install := strings.Join(f.Layout.Engine.Install, " ")
	f.kill(install, func() { _, _ = f.setup() })
	f.put("/usr/sbin/dockerd", "", 0o755)
	_, err := f.setup()
	f.must(err)
	if got := f.content(dockerd.File); !strings.Contains(got, `"userns-remap": "default"`) {
		t.Errorf("daemon.json is\n%s", got)
	}
}

// The labels of what was there come after the module: a setup that is killed in between has them set by the next.
func TestASetupThatIsKilledBeforeItsFilesAreLabelled(t *testing.T) {
	f := newFake(t, true)
	f.put("/sys/fs/selinux/enforce", "1", 0o644)
	f.put("/run/ndock/setup.lock", "", 0o600)
	var label string
	whole := newFake(t, true)
	whole.put("/sys/fs/selinux/enforce", "1", 0o644)
	whole.put("/run/ndock/setup.lock", "", 0o600)
	_, err := whole.setup()
	whole.must(err)
	for _, command := range whole.commands {
		if strings.HasPrefix(command, "restorecon ") {
			label = strings.ReplaceAll(command, whole.root, f.root)
		}
	}
	tree := strings.ReplaceAll(whole.tree(), whole.root, f.root)
	f.kill(label, func() { _, _ = f.setup() })
	f.commands = nil
	_, err = f.setup()
	f.must(err)
	if after := f.tree(); !slices.Contains(f.commands, label) || after != tree {
		t.Errorf("ran %q; the tree should be\n%s\nand is\n%s", f.commands, tree, after)
	}
}
