package steps

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ndock/openstack"
	"ndock/openstack/node"
	"ndock/openstack/node/layout/layouttest"
	"ndock/openstack/novadriver"
)

// TestANodeWithAnotherNameThanItsHost, as libvirt calls its nodes by the machine's full name.
func TestANodeWithAnotherNameThanItsHost(t *testing.T) {
	f := newFake(t, false)
	f.listed = []openstack.Hypervisor{ // this host's name is also another's node's
		{ID: "1", Hostname: f.Host, ServiceHost: "other", Type: "QEMU", State: "up"},
		{ID: "2", Hostname: "kvm1.example.com", ServiceHost: f.Host, Type: "QEMU", State: "up"},
	}
	said, err := f.setup()
	f.must(err)
	if _, err = f.setup(); err != nil {
		t.Error(err)
	}
	for _, status := range node.Inspect(t.Context(), f.Steps()) {
		if want := "node-1, called kvm1.example.com, is up, type docker, id 2"; status.Step == "hypervisor" && status.Detail != want {
			t.Errorf("got %q, said\n%s", status.Detail, said)
		}
	}
}

func TestTeardownTakesTheDriversTraits(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	f.traits, f.commands = []string{"CUSTOM_OF_THE_OPERATOR", "CUSTOM_NDOCK"}, nil
	var said lines
	_, err = node.Teardown(t.Context(), f.Steps(), said.report)
	f.must(err)
	if !slices.Equal(f.traits, []string{"CUSTOM_OF_THE_OPERATOR"}) || !strings.Contains(said.String(), "hypervisor: took CUSTOM_NDOCK from node-1 in Placement") {
		t.Errorf("left %q, said\n%s", f.traits, said.String())
	}
	if at := slices.Index(f.commands, "remove traits of 2"); at < 1 || !strings.Contains(f.commands[at-1], "nova-compute") {
		t.Errorf("not after nova-compute had its old driver: %q", f.commands)
	}
}

// TestTeardownWithoutCredentials says what it leaves. A later one with credentials removes it.
func TestTeardownWithoutCredentials(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	f.traits = []string{"CUSTOM_NDOCK", "CUSTOM_NDOCK_DISK_QUOTA"}
	nova := f.Nova
	f.Nova = func(context.Context) (Cloud, error) { return nil, &node.Unchecked{Why: "no cloud is named"} }
	for i, want := range []bool{true, false} { // once is enough
		var said lines
		_, err = node.Teardown(t.Context(), f.Steps(), said.report)
		f.must(err)
		if got := strings.Contains(said.String(), "hypervisor: left the traits CUSTOM_NDOCK, CUSTOM_NDOCK_CDI, CUSTOM_NDOCK_CDI_*, CUSTOM_NDOCK_DISK_QUOTA, CUSTOM_NDOCK_LAYERS, CUSTOM_NDOCK_RUNTIME_* in Placement, "); got != want {
			t.Errorf("the %d. time it said\n%s", i+1, said.String())
		}
	}
	f.Nova = nova
	_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
	f.must(err)
	if len(f.traits) > 0 {
		t.Errorf("left %q", f.traits)
	}
}

// checkOrder checks that nova-compute had its old driver back before the agent was stopped. With our driver it would tell Nova
// that the host is down, and no other driver takes that back.
func (f *fakeMachine) checkOrder() {
	f.t.Helper()
	nova, agent := -1, -1
	for i, command := range f.commands {
		switch {
		case strings.Contains(command, "restart") && strings.Contains(command, "nova-compute"):
			nova = i
		case strings.Contains(command, "stop") && strings.Contains(command, agentName):
			agent = i
		}
	}
	if nova < 0 || agent < nova {
		f.t.Errorf("nova-compute had its old driver too late: ran %q", f.commands)
	}
}

// TestTheAgentOutlivesOurDriver: nova-compute may take time to end.
func TestTheAgentOutlivesOurDriver(t *testing.T) {
	f := newFake(t, true)
	_, err := f.setup()
	f.must(err)
	former, ending, looks := f.pid("nova-compute"), false, 0
	f.Timeouts.Start = time.Minute
	f.after["systemctl restart --no-block nova-compute.service"] = func() {
		ending = true
		f.put(pidFile("nova-compute"), strconv.Itoa(former), 0o644)
	}
	f.Services = &restarting{Services: f.Services, look: func() {
		if looks++; ending && looks > 100 {
			ending = false
			f.start("nova-compute")
		}
	}}
	f.before["systemctl stop "+agentName+".service"] = func() {
		if ending {
			t.Error("the agent was stopped before nova-compute had ended")
		}
	}
	_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
	f.must(err)
}

// TestAnOldDriverThatDoesNotStart, as libvirt's without its daemon, does not stop teardown.
func TestAnOldDriverThatDoesNotStart(t *testing.T) {
	onBoth(t, func(t *testing.T, f *fakeMachine) {
		before := f.tree()
		_, err := f.setup()
		f.must(err)
		f.brief["nova-compute"] = true
		_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
		if err == nil || !strings.HasPrefix(err.Error(), "nova-compute: nova-compute ended ") || !strings.HasSuffix(hintOf(err), "all else is undone; ") {
			t.Errorf("got %v; %s", err, hintOf(err))
		}
		if after := f.tree(); after != before {
			t.Errorf("the tree was\n%s\nand is\n%s", before, after)
		}
	})
}

func TestAFailedSetupGivesNovaItsDriverBackFirst(t *testing.T) {
	onBoth(t, func(t *testing.T, f *fakeMachine) {
		f.deaf["nova-compute"] = true
		if _, err := f.setup(); err == nil {
			t.Error("no error")
		}
		f.checkOrder()
	})
}

// TestAFailedSetupTakesTheDriversTraits, which nova-compute may have given by then.
func TestAFailedSetupTakesTheDriversTraits(t *testing.T) {
	f := newFake(t, false)
	f.traits, f.deaf["nova-compute"] = slices.Clone(novadriver.Traits), true
	if _, err := f.setup(); err == nil || len(f.traits) > 0 {
		t.Errorf("got %v, left %q", err, f.traits)
	}
}

// TestTeardownWithAPlacementThatDoesNotAnswer goes on without it.
func TestTeardownWithAPlacementThatDoesNotAnswer(t *testing.T) {
	f := newFake(t, false)
	before := f.tree()
	_, err := f.setup()
	f.must(err)
	f.Nova = func(context.Context) (Cloud, error) { return mute{f}, nil }
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var said lines
	_, err = node.Teardown(ctx, f.Steps(), said.report)
	f.must(err)
	if !strings.Contains(said.String(), "hypervisor: left the traits ") {
		t.Errorf("said\n%s", said.String())
	}
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}

// mute is a Placement that never answers.
type mute struct{ *fakeMachine }

func (mute) RemoveTraits(ctx context.Context, _ string, _ []string) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestAFailedUpgradeKeepsTheDriversTraits: the driver of before is ndock's, too.
func TestAFailedUpgradeKeepsTheDriversTraits(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	f.traits = slices.Clone(novadriver.Traits)
	f.put("/usr/lib/python3/dist-packages/nova/virt/docker/driver.py", "# of an earlier release\n", 0o644)
	f.deaf["nova-compute"] = true
	if _, err := f.setup(); err == nil || !slices.Equal(f.traits, novadriver.Traits) {
		t.Errorf("got %v, left %q", err, f.traits)
	}
}

// TestResourcesThatAreHeld by a migration that is not confirmed: its files are on this host.
func TestResourcesThatAreHeld(t *testing.T) {
	f := newFake(t, false)
	f.residents, f.info.Servers, f.holders = []openstack.Server{{ID: "1", Name: "web"}}, []string{"1"}, []string{"a-migration"}
	before := f.tree()
	_, err := f.setup()
	if want := "servers: resources of node-1 are held in Placement by what is no server on it: a-migration"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if hint := hintOf(err); !strings.Contains(hint, "nova-manage placement audit --resource_provider 2") {
		t.Errorf("hint: %s", hint)
	}
	if after := f.tree(); after != before || len(f.commands) > 0 {
		t.Errorf("ran %q, and the tree is\n%s", f.commands, after)
	}
	f.Force = true
	_, err = f.setup()
	f.must(err)
	f.Force = false
	if got := f.plan(); got != "" {
		t.Errorf("planned\n%s", got)
	}
}

// TestFilesOfServers show that there are servers, where Nova cannot be asked.
func TestFilesOfServers(t *testing.T) {
	const server = "6f1e4a9c-7f0b-4b52-9a53-0c3a5d5f3c11"
	for conf, dir := range map[string]string{
		"":                                       "/var/lib/nova/instances",
		"state_path = /srv/nova\n":               "/srv/nova/instances",
		"instances_path = $state_path/servers\n": "/var/lib/nova/servers",
		"instances_path = /mnt/instances\n":      "/mnt/instances",
		"instances_path = /mnt/[a-c]*?\n":        "/mnt/[a-c]*?",
	} {
		t.Run(conf, func(t *testing.T) {
			f := newFake(t, false)
			layouttest.Lay(t, f.root, map[string]string{
				"/etc/nova/nova.conf": "[DEFAULT]\nhost = node-1\n" + conf,
				dir + "/_base/0123":   "", dir + "/locks/a": "", dir + "/compute_nodes": "",
			})
			nova := f.Nova
			f.Nova = func(context.Context) (Cloud, error) { return nil, &node.Unchecked{Why: "no cloud is named"} }
			if plan := f.plan(); !strings.Contains(plan, "set compute_driver") { // nothing of a server's
				t.Errorf("planned\n%s", plan)
			}
			layouttest.Lay(t, f.root, map[string]string{dir + "/" + server + "/disk": "", dir + "/" + server + "_resize/disk": ""})
			before := f.tree()
			_, err := f.setup()
			if want := fmt.Sprintf("servers: there are files of 2 servers in %s, which Nova may lose: %s, %[2]s_resize", f.path(dir), server); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			if after := f.tree(); after != before || len(f.commands) > 0 {
				t.Errorf("ran %q, and the tree is\n%s", f.commands, after)
			}
			f.Nova = nova // which has none
			_, err = f.setup()
			f.must(err)
		})
	}
}

// TestFilesOfServersWherePlacementRefuses: Nova has no servers here, but there are files of a migration.
func TestFilesOfServersWherePlacementRefuses(t *testing.T) {
	f := newFake(t, false)
	f.Nova = func(context.Context) (Cloud, error) { return closed{f}, nil }
	f.put("/var/lib/nova/instances/6f1e4a9c-7f0b-4b52-9a53-0c3a5d5f3c11_resize/disk", "", 0o600)
	if _, err := f.setup(); err == nil || !strings.HasPrefix(err.Error(), "servers: there are files of 1 servers in ") {
		t.Errorf("got %v", err)
	}
}

// closed is a Placement that tells an administrator of Nova's nothing.
type closed struct{ *fakeMachine }

func (closed) Holders(context.Context, string) ([]string, error) {
	return nil, &openstack.Error{Op: "list the allocations", Status: http.StatusForbidden, Err: errors.New("refused")}
}

// TestFilesOfServersThatCannotBeSeen, as on a stale share, are an error. Setup waits for no FIFO of nova's.
func TestFilesOfServersThatCannotBeSeen(t *testing.T) {
	f := newFake(t, false)
	f.Nova = func(context.Context) (Cloud, error) { return nil, &node.Unchecked{Why: "no cloud is named"} }
	f.must(os.MkdirAll(f.path("/var/lib/nova"), 0o755))
	f.must(syscall.Mkfifo(f.path("/var/lib/nova/instances"), 0o600))
	_, err := f.setup()
	if want := "servers: whether there are files of servers, which Nova may lose, cannot be told: read " + f.path("/var/lib/nova/instances") + ": not a directory"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	f.Force = true
	_, err = f.setup()
	f.must(err)
}
