package ociruntime

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ndock/docker/network"
)

// ownMounts has a test's mounts go with its thread, which is never unlocked and so ends with it.
func ownMounts(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount")
	}
	runtime.LockOSThread()
	if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
		t.Fatalf("make a mount namespace: %v", err)
	}
}

// dockersConfig is what Docker Engine 20.10 writes for a server, as far as it matters here.
func dockersConfig(t *testing.T, linux string) (dir, config string) {
	t.Helper()
	dir = t.TempDir()
	if err := network.SetPorts(dir, nil); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"hosts": "127.0.0.1 localhost\n", "resolv.conf": "nameserver 10.0.0.2\n", "hostname": "web\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, `{"mounts":[` +
		`{"destination":"/proc","type":"proc","source":"proc","options":["nosuid"]},` +
		`{"destination":"/dev/pts","type":"devpts","source":"devpts","options":["nosuid","gid=5"]},` +
		`{"destination":"/etc/hosts","type":"bind","source":"` + dir + `/hosts","options":["rbind","rprivate"]},` +
		`{"destination":"/etc/resolv.conf","type":"bind","source":"` + dir + `/resolv.conf","options":["rbind"]},` +
		`{"destination":"/etc/hostname","type":"bind","source":"` + dir + `/hostname"},` +
		`{"destination":"/data","type":"bind","source":"/srv","uidMappings":[{"containerID":0,"hostID":18446744073709551615}]}],` +
		`"linux":` + linux + `}`
}

type mounted struct {
	Destination, Source string
	Options             []string
}

func mountsOf(t *testing.T, config []byte) map[string]mounted {
	t.Helper()
	var got struct{ Mounts []mounted }
	if err := json.Unmarshal(config, &got); err != nil {
		t.Fatal(err)
	}
	all := map[string]mounted{}
	for _, m := range got.Mounts {
		all[m.Destination] = m
	}
	return all
}

func TestWhatAServerGetsBeyondDockers(t *testing.T) {
	_, config := dockersConfig(t, `{"resources":{"devices":[]}}`)
	got, err := edit([]byte(config), "ndock", "/names")
	if err != nil {
		t.Fatal(err)
	}
	mounts := mountsOf(t, got.config)
	if want := []string{"nosuid", "gid=5", "max=256"}; !slices.Equal(mounts["/dev/pts"].Options, want) {
		t.Errorf("terminals: got %v, want %v", mounts["/dev/pts"].Options, want)
	}
	for destination, name := range nameFiles {
		if mounts[destination].Source != "/names/"+name {
			t.Errorf("%s comes from %s", destination, mounts[destination].Source)
		}
	}
	if mounts["/data"].Source != "/srv" || mounts["/proc"].Source != "proc" || !strings.Contains(string(got.config), "18446744073709551615") {
		t.Errorf("it became %s", got.config)
	}
	if strings.Contains(string(got.config), "sysctl") {
		t.Errorf("what Docker sets is set again in %s", got.config)
	}
}

func TestALimitOfTerminalsThatIsThere(t *testing.T) {
	_, config := dockersConfig(t, "{}")
	got, err := edit([]byte(strings.Replace(config, "gid=5", "max=9", 1)), "ndock", "/names")
	if err != nil || !slices.Equal(mountsOf(t, got.config)["/dev/pts"].Options, []string{"nosuid", "max=9"}) {
		t.Errorf("got %s, %v", got.config, err)
	}
}

// TestAUserNamespace: root in it writes its names, and all in it send pings.
func TestAUserNamespace(t *testing.T) {
	const mappings = `"uidMappings":[{"containerID":0,"hostID":100000,"size":65536}],"gidMappings":[{"containerID":0,"hostID":200000,"size":65536}]`
	for sysctl, want := range map[string]string{
		"": `"net.ipv4.ping_group_range":"0 65535"`,
		`,"sysctl":{"net.ipv4.ip_unprivileged_port_start":"0"}`: `"net.ipv4.ping_group_range":"0 65535"`,
		`,"sysctl":{"net.ipv4.ping_group_range":"1 0"}`:         `"net.ipv4.ping_group_range":"1 0"`,
	} {
		_, config := dockersConfig(t, "{"+mappings+sysctl+"}")
		got, err := edit([]byte(config), "ndock", "/names")
		if err != nil || got.uid != 100000 || got.gid != 200000 || !strings.Contains(string(got.config), want) {
			t.Errorf("%s: got %d:%d %s, %v", sysctl, got.uid, got.gid, got.config, err)
		}
	}
}

// TestNamesCannotGrow beyond a file system of their own, whatever their server writes.
func TestNamesCannotGrow(t *testing.T) {
	ownMounts(t)
	dir, config := dockersConfig(t, `{"uidMappings":[{"containerID":0,"hostID":1000}],"gidMappings":[{"containerID":0,"hostID":1001,"size":1}]}`)
	file, names := filepath.Join(t.TempDir(), "config.json"), filepath.Join(t.TempDir(), "names", "abc")
	if err := os.WriteFile(filepath.Join(dir, "hostname"), make([]byte, namesRead+1), 0o600); err != nil { // an earlier release let it grow
		t.Fatal(err)
	}
	for range 2 { // the second finds what the first has left
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := prepare(file, "ndock", names); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(names, "resolv.conf"))
		if err != nil || string(text) != "nameserver 10.0.0.2\n" {
			t.Errorf("got %q, %v", text, err)
		}
		var is unix.Stat_t
		if err := unix.Stat(filepath.Join(names, "hostname"), &is); err != nil || is.Uid != 1000 || is.Gid != 1001 || is.Size != namesRead {
			t.Errorf("got %+v, %v", is, err)
		}
		if err := os.WriteFile(filepath.Join(names, "hosts"), make([]byte, namesSize+1), 0o644); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("a file of more than %d bytes: %v", namesSize, err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "hosts")); err != nil || string(text) != "127.0.0.1 localhost\n" {
		t.Errorf("on the host there is %q, %v", text, err)
	}
	for range 2 { // the second time there is nothing
		if err := ReleaseNames(names); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(names); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// TestAFileThatIsMissing fails the start, and leaves nothing mounted.
func TestAFileThatIsMissing(t *testing.T) {
	ownMounts(t)
	dir, config := dockersConfig(t, "{}")
	file, names := filepath.Join(t.TempDir(), "config.json"), filepath.Join(t.TempDir(), "abc")
	if err := errors.Join(os.Remove(filepath.Join(dir, "hostname")), os.WriteFile(file, []byte(config), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := prepare(file, "ndock", names); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(names); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}
