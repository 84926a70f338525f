package steps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ndock/openstack/node"
	"ndock/openstack/node/dockerd"
	"ndock/openstack/node/record"
	"ndock/openstack/oslo"
)

// Whatever fails, the machine is as before, and the error names the step and what to do.
func TestAFailureIsRolledBack(t *testing.T) {
	tests := []struct {
		name  string
		cause func(f *fakeMachine)
		want  string
		hint  bool
	}{
		{"the agent's script cannot be written", func(f *fakeMachine) {
			f.must(os.Remove(f.path("/etc/logrotate.d")))
			f.put("/etc/logrotate.d", "", 0o644)
		}, "agent: ", false},
		{"the agent does not start", func(f *fakeMachine) { f.fail["service ndock-agent restart"] = "exit status 1" }, "agent: exit status 1", false},
		{"the agent does not answer", func(f *fakeMachine) { f.deaf[agentName] = true }, "agent: wait for ndock's agent: gave up after 50ms: ndock-agent does not answer", true},
		{"the engine does not start", func(f *fakeMachine) { f.stop("docker"); f.deaf["docker"] = true }, "engine: wait for Docker Engine: gave up after 50ms: docker does not answer", true},
		{"the engine does not do as its file says", func(f *fakeMachine) { f.stubborn = true }, "daemon.json: have Docker Engine read ", true},
		{"the engine cannot be installed", func(f *fakeMachine) {
			f.stop("docker")
			f.must(os.Remove(f.path("/usr/sbin/dockerd")))
			f.fail[strings.Join(f.Layout.Engine.Install, " ")] = "no such package"
		}, "engine: install docker.io: no such package", true},
		{"nova-compute does not start", func(f *fakeMachine) {
			f.fail["service nova-compute restart"] = "exit status 1"
			f.put("/var/log/nova/nova-compute.log", "1 ERROR nova long ago\n", 0o644)
		}, "nova-compute: exit status 1; and undoing nova-compute failed: exit status 1", true},
		{
			"nova-compute does not stay", func(f *fakeMachine) { f.brief["nova-compute"] = true },
			"nova-compute: nova-compute ended soon after it was started: 2 ERROR nova no such driver", true,
		},
		{"the hypervisor does not come", func(f *fakeMachine) { f.deaf["nova-compute"] = true }, "hypervisor: wait for the hypervisor: gave up after 50ms: host node-1 is listed by Nova as a hypervisor of type fake that is up", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t, false)
			test.cause(f)
			before := f.tree()
			said, err := f.setup()
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("got %v, want %s", err, test.want)
			}
			var hint interface{ Hint() string }
			if errors.As(err, &hint) != test.hint {
				t.Errorf("hint: %v", hint)
			}
			if after := f.tree(); after != before {
				t.Errorf("the tree was\n%s\nand is\n%s\nafter\n%s", before, after, said)
			}
			if f.pid(agentName) != 0 {
				t.Error("the agent still runs")
			}
		})
	}
}

// The record goes as well when the file itself could not be written: there are Nova's passwords in it.
func TestAFullDiskIsRolledBack(t *testing.T) {
	for step, files := range map[string]map[string]string{
		"config":      {configFile: novaComputeConf, "/etc/nova/nova.conf": "[DEFAULT]\nhost = node-1\n"},
		"daemon.json": {dockerd.File: "{\"debug\": true}\n"},
	} {
		t.Run(step, func(t *testing.T) {
			f := newFake(t, false)
			for path := range files {
				fill(t, f.path(filepath.Dir(path)), len(files))
				break
			}
			for path, text := range files {
				f.put(path, text, 0o640)
			}
			before := f.tree()
			_, err := f.setup()
			if !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), step+": ") || strings.Contains(err.Error(), "undoing") {
				t.Errorf("got %v", err)
			}
			if after := f.tree(); after != before || f.exists(record.File) {
				t.Errorf("the tree was\n%s\nand is\n%s", before, after)
			}
		})
	}
}

// fill mounts a file system with room for so many small files on a directory.
func fill(t *testing.T, dir string, files int) {
	t.Helper()
	if err := syscall.Mount("full", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0755", files*os.Getpagesize())); err != nil {
		t.Skipf("mount a file system: %v", err)
	}
	t.Cleanup(func() { check(t, syscall.Unmount(dir, 0)) })
}

func TestAFailedUpgradeLeavesTheOldReleaseRunning(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	f.put("/usr/lib/python3/dist-packages/nova/virt/docker/driver.py", "old", 0o644)
	before := f.tree()
	f.must(os.WriteFile(f.Program, []byte("ndock of tomorrow"), 0o700))
	f.deaf["nova-compute"] = true
	if said, err := f.setup(); err == nil || !strings.Contains(said, "undo: agent: the agent of before runs again") {
		t.Errorf("got %v, said\n%s", err, said)
	}
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
	if f.pid(agentName) == 0 || f.pid("nova-compute") == 0 {
		t.Error("agent or nova-compute do not run")
	}
}

func TestWhatIsRefusedBeforeAnythingIsChanged(t *testing.T) {
	const twice = "[DEFAULT]\ncompute_driver = a\ncompute_driver = b\n"
	for name, test := range map[string]struct {
		cause func(f *fakeMachine)
		want  string
	}{
		"twice in nova-compute.conf": {
			func(f *fakeMachine) { f.put("/etc/nova/nova-compute.conf", twice, 0o644) },
			"config: /etc/nova/nova-compute.conf sets compute_driver in [DEFAULT] more than once, in lines 2, 3",
		},
		"twice in nova.conf": {
			func(f *fakeMachine) { f.put("/etc/nova/nova.conf", twice, 0o644) },
			"config: /etc/nova/nova.conf sets compute_driver in [DEFAULT] more than once, in lines 2, 3",
		},
		"a daemon.json that is none": {
			func(f *fakeMachine) { f.put("/etc/docker/daemon.json", "{live-restore}", 0o644) },
			"daemon.json: read /etc/docker/daemon.json: invalid character 'l' looking for beginning of object key string",
		},
		"another's driver": {func(f *fakeMachine) {
			f.put("/usr/lib/python3/dist-packages/nova/virt/docker/__init__.py", "from .driver import DockerDriver\n", 0o644)
		}, "shim: /usr/lib/python3/dist-packages/nova/virt/docker is there already and is not ndock's"},
		"no Python": {
			func(f *fakeMachine) { f.put("/usr/bin/nova-compute", "#!/bin/sh\n", 0o755) },
			"shim: find Nova's Python: /usr/bin/nova-compute does not begin with the #! line of a Python script",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, false)
			test.cause(f)
			before := f.tree()
			_, err := f.setup()
			if err == nil || strings.ReplaceAll(err.Error(), f.root, "") != test.want {
				t.Errorf("got %v", err)
			}
			if f.tree() != before || len(f.commands) > 0 {
				t.Errorf("something was changed; ran %q", f.commands)
			}
		})
	}
}

func TestATeardownThatFailsStops(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	f.put("/etc/nova/nova-compute.conf", "[DEFAULT]\ncompute_driver = a\ncompute_driver = b\n", 0o644)
	before := f.tree()
	_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
	var duplicate *oslo.DuplicateError
	if !errors.As(err, &duplicate) {
		t.Errorf("got %v", err)
	}
	if f.tree() != before {
		t.Error("the driver was taken from under nova-compute")
	}
}

// An interrupt while nova-compute is watched is a failure too.
func TestAnInterruptIsRolledBack(t *testing.T) {
	f := newFake(t, false)
	before := f.tree()
	ctx, cancel := context.WithCancel(t.Context())
	f.Timeouts.Compute = time.Hour
	time.AfterFunc(200*time.Millisecond, cancel)
	_, err := node.Setup(ctx, f.Steps(), new(lines).report)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}

// What cannot be rolled back is reported, and the rest is rolled back, also after an interrupt.
func TestARollbackGoesOn(t *testing.T) {
	for name, interrupt := range map[string]bool{"a failure": false, "an interrupt": true} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, false)
			before := f.tree()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			f.deaf["nova-compute"] = true // the hypervisor does not come
			f.fail["service ndock-agent stop"] = "exit status 3"
			f.after["service nova-compute restart"] = func() {
				f.fail["service nova-compute restart"] = "exit status 4"
				if interrupt {
					cancel()
				}
			}
			var said lines
			_, err := node.Setup(ctx, f.Steps(), said.report)
			for _, want := range []string{"undoing nova-compute failed: exit status 4", "undoing agent failed: exit status 3"} {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s", err, want)
				}
			}
			for _, want := range []string{
				"undo: agent: failed, and is left to do by hand: stopped service ndock-agent and removed what was written",
				"undo: nova-compute: failed, and is left to do by hand: restarted service nova-compute",
				"undo: config: put back " + f.path(configFile) + " as it was",
			} {
				if !strings.Contains(said.String(), want) {
					t.Errorf("said\n%s\nand not\n%s", said.String(), want)
				}
			}
			if hint := hintOf(err); !strings.Contains(hint, "do by hand what is said to be left") {
				t.Errorf("hint: %s", hint)
			}
			if after := f.tree(); after != before {
				t.Errorf("the tree was\n%s\nand is\n%s", before, after)
			}
		})
	}
}

// What a rollback cannot put back stays recorded, and teardown puts it back later.
func TestWhatCouldNotBePutBackIsKept(t *testing.T) {
	f := newFake(t, false)
	f.fail["service nova-compute restart"] = "exit status 1"
	f.before["service nova-compute restart"] = func() { // nobody can write there any more
		clear(f.before)
		f.must(os.Rename(f.path("/etc/nova"), f.path("/etc/nova-away")))
		f.put("/etc/nova", "", 0o644)
	}
	said, err := f.setup()
	if err == nil || !strings.Contains(said, "undo: config: failed, and is left to do by hand: put back "+f.path(configFile)+" as it was") {
		t.Fatalf("got %v, said\n%s", err, said)
	}
	f.must(os.Remove(f.path("/etc/nova")))
	f.must(os.Rename(f.path("/etc/nova-away"), f.path("/etc/nova")))
	clear(f.fail)
	_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
	f.must(err)
	if got := f.content(configFile); got != novaComputeConf || f.exists(record.File) {
		t.Errorf("got\n%s", got)
	}
}

// An interrupted teardown names the steps that are left.
func TestAnInterruptedTeardownSaysWhatIsLeft(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	ctx, cancel := context.WithCancel(t.Context())
	f.after["service ndock-agent stop"] = cancel
	_, err = node.Teardown(ctx, f.Steps(), new(lines).report)
	if !errors.Is(err, context.Canceled) || hintOf(err) != "not undone: engine; run 'ndock node teardown' again when that is mended; " {
		t.Errorf("got %v; %s", err, hintOf(err))
	}
	_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
	f.must(err)
}
