package steps

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ndock/openstack/node"
	"ndock/openstack/node/dockerd"
)

// Warnings do not make a node not ready.
func TestStatusWarnsOfAWeakEngine(t *testing.T) {
	f := newFake(t, false)
	f.info.Runc, f.info.Security = "1.1.5+ds1", []string{"seccomp"}
	_, err := f.setup()
	f.must(err)
	got := f.status("engine")
	for _, want := range []string{
		"runc has faults by which containers break out, as its version 1.1.5+ds1 says (CVE-2024-21626, CVE-2025-31133, CVE-2025-52565, CVE-2025-52881)",
		"neither AppArmor nor SELinux confines containers", "root in a container is root on the host",
	} {
		if got.State != node.Done || !strings.Contains(got.Detail, "; warning: "+want) {
			t.Errorf("got %v, want %s", got, want)
		}
	}
	f.info.Runc, f.info.Security = "1.3.3", []string{"apparmor", "seccomp", "userns"}
	if got := f.status("engine").Detail; got != "Docker Engine 20.10.24 answers; servers are confined by AppArmor and one range of users for all of them (userns-remap)" {
		t.Errorf("got %s", got)
	}
}

// On a host with SELinux Docker Engine confines no container by it, unless its file says so.
func TestStatusWarnsOfAnEngineWithoutSELinux(t *testing.T) {
	f := newFake(t, false)
	f.put("/sys/fs/selinux/enforce", "1", 0o644)
	_, err := f.setup()
	f.must(err)
	for want, security := range map[string][]string{
		"; servers are confined by one range of users for all of them (userns-remap); warning: SELinux does not confine containers (no selinux-enabled in daemon.json)": {"seccomp", "userns"},
		"; servers are confined by SELinux and one range of users for all of them (userns-remap)":                                                                       {"seccomp", "selinux", "userns"},
	} {
		f.info.Security = security
		if got := f.status("engine").Detail; got != "Docker Engine 20.10.24 answers"+want {
			t.Errorf("got %s", got)
		}
	}
}

func TestRuncWarnings(t *testing.T) {
	const old, new = "CVE-2024-21626", "CVE-2025-31133"
	for version, want := range map[string][]string{
		"1.0.0-rc93": {old, new}, "1.1.11": {old, new}, "1.1.12": {new}, "1.1.15": {new}, "1.2.7": {new}, "1.2.8": {}, "v1.2.9": {},
		"1.3.0": {new}, "1.3.2-0ubuntu2": {new}, "1.3.3": {}, "1.4.0": {}, "2.0.0": {}, "unknown": {}, "": {},
	} {
		said := strings.Join(runcWarnings(version), "")
		for _, fault := range []string{old, new} {
			if strings.Contains(said, fault) != slices.Contains(want, fault) {
				t.Errorf("%s: %s", version, said)
			}
		}
	}
}

// TestAnEngineOfAnothersService, as a snap's, reads another file, and the service manager does not restart it.
func TestAnEngineOfAnothersService(t *testing.T) {
	onBoth(t, func(t *testing.T, f *fakeMachine) {
		f.stop("docker")
		f.foreign = true
		before := f.tree()
		for _, run := range []func() error{
			func() error { _, err := node.Plan(t.Context(), f.Steps(), new(lines).report); return err },
			func() error { _, err := f.setup(); return err },
		} {
			if err := run(); err == nil || !strings.Contains(err.Error(), "but service docker does not run") {
				t.Errorf("got %v", err)
			}
		}
		if after := f.tree(); after != before {
			t.Errorf("the tree is\n%s", after)
		}
	})
}

// TestAnEngineThatListensElsewhere runs already: to start it would not help.
func TestAnEngineThatListensElsewhere(t *testing.T) {
	onBoth(t, func(t *testing.T, f *fakeMachine) {
		f.deaf["docker"] = true
		for text, elsewhere := range map[string]bool{
			`{"hosts": ["tcp://0.0.0.0:2376"]}`:                                true,
			`{"hosts": ["unix:///var/run/docker-other.sock"]}`:                 true,
			`{"hosts": ["tcp://0.0.0.0:2376", "unix:///var/run/docker.sock"]}`: false,
			`{"hosts": ["unix:///run/docker.sock"]}`:                           false,
			`{"hosts": ["unix://"]}`:                                           false,
			`{"hosts": ["fd://"]}`:                                             false,
			`{"hosts": null}`:                                                  false,
			`{}`:                                                               false,
		} {
			f.put(dockerd.File, text, 0o600)
			if _, err := node.Plan(t.Context(), f.Steps(), new(lines).report); elsewhere != (err != nil && strings.Contains(err.Error(), "is told to listen on")) {
				t.Errorf("%s: got %v", text, err)
			}
		}
		f.put(dockerd.File, "{}", 0o600)
		for flags, elsewhere := range map[string]bool{"-H\x00tcp://0.0.0.0:2375": true, "-H=tcp://:2375": true, "--host=tcp://:2375\x00-Hfd://": false, "--host\x00fd://": false} {
			f.put(fmt.Sprintf("/proc/%d/cmdline", f.pid("docker")), "/usr/bin/dockerd\x00"+flags+"\x00", 0o444)
			if _, err := node.Plan(t.Context(), f.Steps(), new(lines).report); elsewhere != (err != nil && strings.Contains(err.Error(), "is told to listen on tcp://")) {
				t.Errorf("%q: got %v", flags, err)
			}
		}
	})
}

// TestAnEngineThatIsToldTwiceWhereToListen does not start, as one that somebody else has set up on top of a distribution's unit.
func TestAnEngineThatIsToldTwiceWhereToListen(t *testing.T) {
	f := newFake(t, true)
	f.stop("docker")
	f.put(dockerd.File, `{"hosts": ["fd://", "tcp://0.0.0.0:2376"]}`, 0o600)
	f.shown = inUnit("-H fd:// --containerd=/run/containerd/containerd.sock", "")
	if _, err := node.Plan(t.Context(), f.Steps(), new(lines).report); err == nil || !strings.Contains(err.Error(), "hosts in "+f.path(dockerd.File)+" and -H in its command line") {
		t.Errorf("planned with %v", err)
	}
}

// TestAHostWithoutUserNamespaces starts no container with userns-remap.
func TestAHostWithoutUserNamespaces(t *testing.T) {
	for most, want := range map[string]bool{"0\n": false, "63000\n": true} {
		f := newFake(t, false)
		f.stop("docker")
		f.must(os.Remove(f.path("/usr/sbin/dockerd")))
		f.put("/proc/sys/user/max_user_namespaces", most, 0o644)
		_, err := f.setup()
		f.must(err)
		if got := f.content(dockerd.File); strings.Contains(got, "userns-remap") != want {
			t.Errorf("with %q it is %s", most, got)
		}
		if got := f.plan(); got != "" {
			t.Errorf("a second run would\n%s", got)
		}
	}
}

func TestInstallWaitsForOthers(t *testing.T) {
	f := newFake(t, false)
	f.stop("docker")
	f.must(os.Remove(f.path("/usr/sbin/dockerd")))
	install := strings.Join(f.Layout.Engine.Install, " ")
	for _, want := range []string{"DPkg::Lock::Timeout=", "Dpkg::Options::=--force-confold"} {
		if !strings.Contains(install, want) {
			t.Errorf("it runs %s", install)
		}
	}
	f.fail[install] = "E: Unable to locate package docker.io" // of a machine that never fetched the lists
	f.after[strings.Join(f.Layout.Engine.Refresh, " ")] = func() { delete(f.fail, install) }
	_, err := f.setup()
	f.must(err)
	if got := f.commands[:3]; !strings.HasSuffix(got[1], " update") || got[0] != install || got[2] != install {
		t.Errorf("ran %q", got)
	}
}

// TestAnEngineWithMountsOfItsOwn: the agent cannot reach the network namespaces that runc's hooks mount.
func TestAnEngineWithMountsOfItsOwn(t *testing.T) {
	onBoth(t, func(t *testing.T, f *fakeMachine) {
		const want = "warning: docker has mounts of its own (PrivateTmp=, PrivateMounts=, LogNamespace= or MountFlags= of its unit)"
		_, err := f.setup()
		f.must(err)
		mounts := func(pid int, of, run string) {
			ns := f.path(fmt.Sprintf("/proc/%d/ns/mnt", pid))
			f.must(os.MkdirAll(filepath.Dir(ns), 0o755))
			f.must(os.RemoveAll(ns))
			f.must(os.Symlink("mnt:["+of+"]", ns))
			f.put(fmt.Sprintf("/proc/%d/mountinfo", pid), "22 1 8:1 / / rw - ext4 /dev/vda1 rw\n28 22 0:25 / /run rw,nosuid "+run+" - tmpfs tmpfs rw\n31 28 0:26 / /run/lock rw shared:9 - tmpfs tmpfs rw\n", 0o444)
		}
		mounts(1, "4026531840", "shared:5")
		for name, test := range map[string]struct {
			of, run string
			warns   bool
		}{
			"the host's":                           {"4026531840", "shared:5", false},
			"its own":                              {"4026532201", "shared:77 master:5", true},
			"private ones":                         {"4026532201", "", true},
			"its own, of which each is the host's": {"4026532201", "shared:5", false}, // MountFlags=shared, in a unit of old
		} {
			mounts(f.pid("docker"), test.of, test.run)
			if got := f.status("engine"); got.State != node.Done || strings.Contains(got.Detail, want) != test.warns {
				t.Errorf("with %s: got %v", name, got)
			}
		}
	})
}

// TestAppArmorWithoutItsParser: Docker Engine starts no container then.
func TestAppArmorWithoutItsParser(t *testing.T) {
	f := newFake(t, false)
	const want = "warning: AppArmor is on, and apparmor_parser is not installed: no server starts"
	f.must(os.Remove(f.path("/usr/sbin/apparmor_parser")))
	if got := f.status("engine").Detail; !strings.Contains(got, want) {
		t.Errorf("got %s", got)
	}
	f.put("/usr/sbin/apparmor_parser", "", 0o755)
	if got := f.status("engine").Detail; strings.Contains(got, want) {
		t.Errorf("got %s", got)
	}
}
