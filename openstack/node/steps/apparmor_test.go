package steps

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ndock/openstack/node"
	"ndock/openstack/node/system"
)

// withAppArmor has the machine's kernel use AppArmor.
func (f *fakeMachine) withAppArmor() {
	f.put(profilesFile, "docker-default (enforce)\n", 0o644)
	f.put("/usr/sbin/apparmor_parser", "", 0o755)
	f.must(os.MkdirAll(f.path("/etc/apparmor.d"), 0o755))
}

func TestTheProfileOfServers(t *testing.T) {
	f := newFake(t, true)
	f.withAppArmor()
	tree := f.tree()
	if got := f.plan(); !strings.Contains(got, "apparmor: load AppArmor profile ndock-server for servers ("+apparmorFile+")") {
		t.Errorf("planned\n%s", got)
	}
	_, err := f.setup()
	f.must(err)
	if got, err := os.ReadFile(f.path(apparmorFile)); err != nil || !bytes.Equal(got, apparmorProfile) {
		t.Errorf("got %q, %v", got, err)
	}
	if got := f.plan(); got != "" {
		t.Errorf("planned again\n%s", got)
	}
	f.put(profilesFile, "docker-default (enforce)\nndock-server (complain)\n", 0o644)
	if got := f.plan(); !strings.HasPrefix(got, "apparmor: load") {
		t.Errorf("where it only complains: planned\n%s", got)
	}
	_, err = f.setup()
	f.must(err)
	said := f.teardown()
	if after := f.tree(); after != tree || !strings.Contains(said, "apparmor: unloaded AppArmor profile ndock-server") {
		t.Errorf("said\n%s\nthe tree was\n%s\nand is\n%s", said, tree, after)
	}
}

// TestAProfileThatDoesNotLoad leaves nothing, and says why.
func TestAProfileThatDoesNotLoad(t *testing.T) {
	f := newFake(t, true)
	f.withAppArmor()
	tree := f.tree()
	f.fail["apparmor_parser -r "+f.path(apparmorFile)] = "AppArmor parser error"
	if _, err := f.setup(); err == nil || !strings.Contains(err.Error(), "apparmor: AppArmor parser error") {
		t.Errorf("got %v", err)
	}
	if after := f.tree(); after != tree {
		t.Errorf("the tree was\n%s\nand is\n%s", tree, after)
	}
}

// TestAProfileOfSomebodyElse with this name stays at teardown; setup has replaced none, as it wrote its own.
func TestAProfileOfSomebodyElse(t *testing.T) {
	f := newFake(t, true)
	f.withAppArmor()
	f.put(apparmorFile, "profile ndock-server {}\n", 0o644)
	var said lines
	_, err := node.Teardown(t.Context(), f.Steps(), said.report)
	f.must(err)
	if got, err := os.ReadFile(f.path(apparmorFile)); err != nil || string(got) != "profile ndock-server {}\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestTheProfileParses asks the parser that hosts have; it needs no AppArmor in the kernel.
func TestTheProfileParses(t *testing.T) {
	if !bytes.HasPrefix(apparmorProfile, []byte(profileHead)) {
		t.Errorf("teardown would not know the profile")
	}
	if _, err := (system.Shell{}).Run(t.Context(), "apparmor_parser", "--version"); err != nil {
		t.Skip(err)
	}
	file := filepath.Join(t.TempDir(), "profile")
	if err := os.WriteFile(file, apparmorProfile, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (system.Shell{}).Run(t.Context(), "apparmor_parser", "-Q", "-K", file); err != nil {
		t.Error(err)
	}
}
