package instance_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ndock/docker/agent"
	"ndock/docker/agent/instance"
	"ndock/docker/engine/enginetest"
)

func TestConfigDrive(t *testing.T) {
	state := t.TempDir()
	dirs := instance.Directories(state)
	mounts, err := dirs.WriteConfigDrive(enginetest.ServerID, map[string][]byte{"openstack/latest/meta_data.json": []byte("{}")})
	if err != nil || len(mounts) != 2 {
		t.Fatalf("got %v, %v", mounts, err)
	}
	for _, m := range mounts {
		if !m.ReadOnly || !m.BindOptions.ReadOnlyNonRecursive || m.Source != filepath.Join(state, enginetest.ServerID, "config-drive") {
			t.Errorf("got %+v", m)
		}
	}
	content, err := os.ReadFile(filepath.Join(mounts[0].Source, "openstack", "latest", "meta_data.json"))
	if err != nil || string(content) != "{}" {
		t.Errorf("got %q, %v", content, err)
	}
	if _, err := dirs.WriteConfigDrive(enginetest.ServerID, map[string][]byte{"../../out": nil}); err == nil {
		t.Error("a file was written outside of the drive")
	}
	if err := dirs.Remove(enginetest.ServerID); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(state); len(entries) > 0 {
		t.Errorf("left behind: %v", entries)
	}
}

// What nova asks for can be removed again, and leaves the host its inodes.
func TestConfigDrivesThatAreTooLarge(t *testing.T) {
	many, deep, wide := map[string][]byte{}, strings.Repeat("a/", 8)+"x", map[string][]byte{}
	for i := range 5000 {
		many[strconv.Itoa(i)] = nil
		if i < 1000 {
			wide[strconv.Itoa(i)+"/a/x"] = nil
		}
	}
	for name, files := range map[string]map[string][]byte{
		"a long name": {strings.Repeat("a/", 30000) + "x": nil}, "many files": many, "many directories": wide, "a deep file": {deep: nil},
	} {
		state := t.TempDir()
		_, err := instance.Directories(state).WriteConfigDrive(enginetest.ServerID, files)
		if agent.CodeOf(err) != agent.BadRequest || len(err.Error()) > 200 {
			t.Errorf("%s: got %.200v", name, err)
		}
		if entries, _ := os.ReadDir(state); len(entries) > 0 {
			t.Errorf("%s: left behind: %v", name, entries)
		}
		if err := exec.Command("rm", "-rf", filepath.Join(state, enginetest.ServerID)).Run(); err != nil { // which removes any depth
			t.Error(err)
		}
	}
	for _, largest := range []string{deep[2:], "openstack//./latest/../latest/meta_data.json"} {
		if _, err := instance.Directories(t.TempDir()).WriteConfigDrive(enginetest.ServerID, map[string][]byte{largest: nil}); agent.CodeOf(err) == agent.BadRequest {
			t.Errorf("%s: got %v", largest, err)
		}
	}
}

// Where SELinux confines servers, each file of a config drive has the label of its container's own.
func TestLabelOfAConfigDrive(t *testing.T) {
	const label = "system_u:object_r:container_file_t:s0:c1,c2"
	for _, want := range []string{label, ""} {
		dirs := instance.Directories(t.TempDir())
		mounts, err := dirs.WriteConfigDrive(enginetest.ServerID, map[string][]byte{"openstack/latest/meta_data.json": []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		err = instance.LabelConfigDrive(mounts[0].Source, want)
		if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) {
			t.Skip("labels cannot be written here: ", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"", "openstack/latest", "openstack/latest/meta_data.json"} {
			got := make([]byte, 100)
			size, _ := unix.Lgetxattr(filepath.Join(mounts[0].Source, name), "security.selinux", got) // none where it has none
			if string(got[:max(size, 0)]) != want {
				t.Errorf("%q has %q, want %q", name, got, want)
			}
		}
	}
}
