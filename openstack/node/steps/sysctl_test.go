package steps

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ndock/openstack/node"
)

// withLimits returns a machine of 24 GiB whose kernel has these limits.
func withLimits(t *testing.T, values map[string]string) *fakeMachine {
	t.Helper()
	f := newFake(t, false)
	f.put("/proc/meminfo", "MemTotal:       25001234 kB\nMemFree: 1 kB\n", 0o444)
	for name, value := range values {
		f.put(procSys(name), value+"\n", 0o644)
	}
	return f
}

func procSys(name string) string { return "/proc/sys/" + strings.ReplaceAll(name, ".", "/") }

func (f *fakeMachine) limit(name string) string { return strings.TrimSpace(f.content(procSys(name))) }

func (f *fakeMachine) limits(want map[string]string) {
	f.t.Helper()
	for name, value := range want {
		if got := f.limit(name); got != value {
			f.t.Errorf("%s is %s, not %s", name, got, value)
		}
	}
}

func TestLimitsAreRaisedForTheHostsSize(t *testing.T) {
	found := map[string]string{"net.ipv4.neigh.default.gc_thresh3": "1024", "kernel.pty.max": "4096", "kernel.pid_max": "4194304", "kernel.keys.maxkeys": "200"}
	f := withLimits(t, found)
	if got, want := f.plan(), "sysctl: raise net.ipv4.neigh.default.gc_thresh3 from 1024 to 24576\nsysctl: raise kernel.pty.max from 4096 to 24576\nsysctl: raise kernel.keys.maxkeys from 200 to 12288\nsysctl: write /etc/sysctl.d/60-ndock.conf\n"; !strings.Contains(got, want) {
		t.Errorf("planned\n%s", got)
	}
	if got := f.status("sysctl"); got.State != node.ToDo {
		t.Errorf("got %v", got)
	}
	before := f.tree()
	_, err := f.setup()
	f.must(err)
	f.limits(map[string]string{"net.ipv4.neigh.default.gc_thresh3": "24576", "kernel.pty.max": "24576", "kernel.pid_max": "4194304", "kernel.keys.maxkeys": "12288"})
	if got := f.content(sysctlFile); !strings.HasSuffix(got, "\nkernel.keys.maxkeys = 12288\nkernel.pty.max = 24576\nnet.ipv4.neigh.default.gc_thresh3 = 24576\n") {
		t.Errorf("the file is\n%s", got)
	}
	if plan, status := f.plan(), f.status("sysctl"); plan != "" || status.State != node.Done {
		t.Errorf("planned\n%s\nand is %v", plan, status)
	}
	f.teardown()
	f.limits(found)
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}

// A host with more memory than before gets higher limits, and teardown restores those of before the first setup.
func TestLimitsGrowWithTheHost(t *testing.T) {
	f := withLimits(t, map[string]string{"kernel.pty.max": "4096", "fs.aio-max-nr": "65536"})
	_, err := f.setup()
	f.must(err)
	f.put("/proc/meminfo", "MemTotal: 50000000 kB\n", 0o444)
	f.put(procSys("fs.aio-max-nr"), "9000000", 0o644) // by the operator
	_, err = f.setup()
	f.must(err)
	f.limits(map[string]string{"kernel.pty.max": "49152", "fs.aio-max-nr": "9000000"})
	f.teardown()
	f.limits(map[string]string{"kernel.pty.max": "4096", "fs.aio-max-nr": "9000000"})
}

func TestALimitThatIsLoweredIsSeen(t *testing.T) {
	f := withLimits(t, map[string]string{"kernel.pty.max": "4096"})
	_, err := f.setup()
	f.must(err)
	f.put(procSys("kernel.pty.max"), "100", 0o644)
	if got := f.status("sysctl"); got.State != node.ToDo || got.Detail != "raise kernel.pty.max from 100 to 24576" {
		t.Errorf("got %v", got)
	}
}

func TestLimitsAreRolledBack(t *testing.T) {
	found := map[string]string{"kernel.pty.max": "4096"}
	f := withLimits(t, found)
	before := f.tree()
	f.deaf["nova-compute"] = true
	if said, err := f.setup(); err == nil || !strings.Contains(said, "undo: sysctl: set the kernel's limits back") {
		t.Errorf("got %v, said\n%s", err, said)
	}
	f.limits(found)
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}

// In a container /proc/sys is read-only: that is reported, and does not fail.
func TestLimitsThatCannotBeRaised(t *testing.T) {
	f := withLimits(t, map[string]string{"kernel.pty.max": "4096"})
	dir := filepath.Dir(f.path(procSys("kernel.pty.max")))
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { f.must(unix.Unmount(dir, unix.MNT_DETACH)) })
	f.must(unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	said, err := f.setup()
	f.must(err)
	const want = "sysctl: cannot be raised here: kernel.pty.max is 4096 and should be 24576 (read-only file system)"
	if !strings.Contains(said, want) {
		t.Errorf("said\n%s", said)
	}
	if got := f.status("sysctl"); got.State != node.Done || "sysctl: "+got.Detail != want {
		t.Errorf("got %v", got)
	}
	if _, err := os.Stat(f.path(sysctlFile)); err == nil {
		t.Error("there is a file for what was not raised")
	}
}

// TestAHostThatHasLostIPv6 was booted with ipv6.disable=1 after setup. The file leaves out settings that are missing, for which
// sysctl would fail at each boot. Their values of before stay recorded.
func TestAHostThatHasLostIPv6(t *testing.T) {
	const v4, v6 = "net.ipv4.neigh.default.gc_thresh1", "net.ipv6.neigh.default.gc_thresh1"
	f := withLimits(t, map[string]string{v4: "128", v6: "128"})
	before := f.tree()
	_, err := f.setup()
	f.must(err)
	f.must(os.RemoveAll(f.path("/proc/sys/net/ipv6")))
	if got := f.plan(); !strings.Contains(got, "/etc/sysctl.d/60-ndock.conf") {
		t.Errorf("planned\n%s", got)
	}
	_, err = f.setup()
	f.must(err)
	if got := f.content(sysctlFile); strings.Contains(got, v6) || !strings.Contains(got, v4) {
		t.Errorf("the file is\n%s", got)
	}
	if got := f.plan(); got != "" {
		t.Errorf("a second run would\n%s", got)
	}
	if got := f.status("sysctl"); got.State != node.Done {
		t.Errorf("got %v", got)
	}
	f.put(procSys(v6), "3072\n", 0o644) // booted anew, with IPv6
	said := f.teardown()
	f.limits(map[string]string{v4: "128", v6: "128"})
	if after := f.tree(); after != before {
		t.Errorf("said\n%s\nand the tree was\n%s\nand is\n%s", said, before, after)
	}
}

// TestTeardownOfAHostThatHasLostIPv6 finds the file as an earlier release wrote it.
func TestTeardownOfAHostThatHasLostIPv6(t *testing.T) {
	f := withLimits(t, map[string]string{"kernel.pty.max": "4096", "net.ipv6.neigh.default.gc_thresh1": "128"})
	before := f.tree()
	_, err := f.setup()
	f.must(err)
	f.must(os.RemoveAll(f.path("/proc/sys/net/ipv6")))
	f.teardown()
	f.limits(map[string]string{"kernel.pty.max": "4096"})
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}

// TestMemoryMaps: no container can raise this limit for itself, and search engines and databases do not start below it.
func TestMemoryMaps(t *testing.T) {
	for was, want := range map[string]string{"65530": "262144", "1048576": "1048576"} {
		f := withLimits(t, map[string]string{"vm.max_map_count": was})
		_, err := f.setup()
		f.must(err)
		f.limits(map[string]string{"vm.max_map_count": want})
		f.teardown()
		f.limits(map[string]string{"vm.max_map_count": was})
	}
}
