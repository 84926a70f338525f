package steps

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
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

// TestAFailedUpgradeKeepsServersConfined: the kernel has servers run on unconfined whose profile is removed, whatever comes then.
func TestAFailedUpgradeKeepsServersConfined(t *testing.T) {
	f := newFake(t, true)
	f.withAppArmor()
	_, err := f.setup()
	f.must(err)
	former := profileHead + "\nprofile ndock-server {}\n"
	f.put(apparmorFile, former, 0o644)
	f.commands, f.fail = nil, map[string]string{"systemctl restart ndock-agent.service": "it does not start"}
	f.put("/usr/local/bin/ndock", "an earlier one", 0o755)
	if _, err := f.setup(); err == nil {
		t.Error("it did not fail")
	}
	if got, err := os.ReadFile(f.path(apparmorFile)); err != nil || string(got) != former {
		t.Errorf("got %q, %v", got, err)
	}
	var asked []string
	for _, command := range f.commands {
		if strings.HasPrefix(command, "apparmor_parser") {
			asked = append(asked, strings.Fields(command)[1])
		}
	}
	if !slices.Equal(asked, []string{"-r", "-r"}) {
		t.Errorf("asked the parser to %q", asked)
	}
}

// TestTheProfileStaysWithServers that teardown was forced to leave.
func TestTheProfileStaysWithServers(t *testing.T) {
	f := newFake(t, true)
	f.withAppArmor()
	_, err := f.setup()
	f.must(err)
	f.info.Servers = []string{"6f1e4a9c-7f0b-4b52-9a53-0c3a5d5f3c11"}
	step := &apparmor{Machine: f.Machine}
	texts, err := step.Teardown(t.Context())
	f.must(err)
	if loaded, err := step.isLoaded(); !loaded || err != nil || !f.Layout.Exists(apparmorFile) || !strings.HasPrefix(strings.Join(texts, "\n"), "left AppArmor profile") {
		t.Errorf("said %q; loaded %t, %v", texts, loaded, err)
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
