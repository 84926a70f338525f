package steps

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ndock/openstack"
	"ndock/openstack/node"
	"ndock/openstack/node/layout/layouttest"
)

func TestServersOfAnotherDriverAreNotTaken(t *testing.T) {
	f := newFake(t, false)
	for n := range 7 {
		f.residents = append(f.residents, openstack.Server{ID: fmt.Sprint(n), Name: fmt.Sprintf("vm-%d", n)})
	}
	before := f.tree()
	_, err := f.setup()
	var hint interface{ Hint() string }
	if want := "servers: there are 7 servers on node-1 that are no containers, and that Nova would lose: vm-0 (0), vm-1 (1), vm-2 (2), vm-3 (3), vm-4 (4) and 2 more"; !errors.As(err, &hint) || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if after := f.tree(); after != before || len(f.commands) > 0 {
		t.Errorf("ran %v, and the tree is\n%s", f.commands, after)
	}
	f.Force = true
	_, err = f.setup()
	f.must(err)
	f.Force = false
	if got := f.plan(); got != "" { // by now they are of this driver, as far as Nova knows
		t.Errorf("planned\n%s", got)
	}
}

// TestServersOfOurDriver, which a teardown with --force left, are taken over by the next setup.
func TestServersOfOurDriver(t *testing.T) {
	f := newFake(t, false)
	f.residents, f.info.Servers = []openstack.Server{{ID: "1", Name: "web"}}, []string{"1"}
	_, err := f.setup()
	f.must(err)
	tree := f.tree()
	_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
	if want := "servers: there are containers of 1 servers here, which Nova would lose sight of: 1"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if after := f.tree(); after != tree {
		t.Errorf("the tree is\n%s", after)
	}
	f.Force = true
	_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
	f.must(err)
}

// TestNovaFailsForSomeTime, as it does when a nova-compute has just died: setup and teardown wait until it answers.
func TestNovaFailsForSomeTime(t *testing.T) {
	f := newFake(t, false)
	before := f.tree()
	f.failures, f.residents, f.Force = 3, []openstack.Server{{ID: "1", Name: "vm"}}, false
	if _, err := f.setup(); err == nil || !strings.HasPrefix(err.Error(), "servers: there are 1 servers on node-1 that are no containers") {
		t.Errorf("got %v", err)
	}
	f.failures, f.residents = 3, nil
	_, err := f.setup()
	f.must(err)
	f.failures = 3
	if got := f.plan(); !strings.HasPrefix(got, "hypervisor: wait until Nova lists node-1 as a hypervisor of type docker that is up; now it fails: ") {
		t.Errorf("planned\n%s", got)
	}
	_, err = f.setup()
	f.must(err)
	f.failures, f.traits = 3, []string{"CUSTOM_NDOCK"}
	if said := f.teardown(); !strings.Contains(said, "hypervisor: took CUSTOM_NDOCK from node-1 in Placement") {
		t.Errorf("said\n%s", said)
	}
	if after := f.tree(); after != before {
		t.Errorf("the tree is\n%s", after)
	}
}

// TestNovaFails for longer than anybody waits: nothing is changed, and the error has OpenStack's id of the request.
func TestNovaFails(t *testing.T) {
	f := newFake(t, false)
	before := f.tree()
	f.failures = 1 << 20
	_, err := f.setup()
	var hint interface{ Hint() string }
	if want := "servers: wait for Nova: gave up after 50ms: list servers: Unexpected API Error (req-1)"; !errors.As(err, &hint) || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if after := f.tree(); after != before || len(f.commands) > 0 {
		t.Errorf("ran %v, and the tree is\n%s", f.commands, after)
	}
	f.Force = true // nobody asks for servers then
	if _, err := f.setup(); err == nil || !strings.HasPrefix(err.Error(), "hypervisor: wait for the hypervisor: gave up after 50ms: list hypervisors: Unexpected API Error (req-1)") {
		t.Errorf("got %v", err)
	}
	if after := f.tree(); after != before {
		t.Errorf("the tree is\n%s", after)
	}
}

// TestStatusDoesNotWait for a Nova that fails: it says so.
func TestStatusDoesNotWait(t *testing.T) {
	f := newFake(t, false)
	f.Timeouts.Nova = 0
	for step, want := range map[string]node.State{"hypervisor": node.ToDo, "servers": node.Failed} {
		f.failures = 1 << 20
		if got := f.status(step); got.State != want || !strings.Contains(got.Detail, "Unexpected API Error (req-1)") {
			t.Errorf("got %v", got)
		}
		if asked := 1<<20 - f.failures; asked != 2 { // by each step once
			t.Errorf("asked %d times", asked)
		}
	}
}

// TestAHostThatNovaHasNeverSeen is mapped to a cell if this machine can do that.
func TestAHostThatNovaHasNeverSeen(t *testing.T) {
	for name, test := range map[string]struct {
		conf string
		want bool
	}{
		"on a controller":   {"[DEFAULT]\nhost = node-1\n[api_database]\nconnection = mysql://…\n", true},
		"on a compute node": {"[DEFAULT]\nhost = node-1\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, false)
			layouttest.Lay(t, f.root, map[string]string{"/usr/bin/nova-manage": "", "/etc/nova/nova.conf": test.conf})
			f.unmapped = true
			_, err := f.setup()
			ran := strings.Contains(strings.Join(f.commands, "\n"), "cell_v2 discover_hosts --by-service")
			if (err == nil) != test.want || ran != test.want {
				t.Errorf("got %v, ran %q", err, f.commands)
			}
		})
	}
}

func TestAnEngineThatIsTooOld(t *testing.T) {
	for version, want := range map[string]bool{
		"19.03.8": true, "20.9.1": true, "1.13.1": true, "20.10.24+dfsg1": false, "28.5.2": false, "master-dockerproject": false,
	} {
		if got := tooOld(version); got != want {
			t.Errorf("%s: got %t", version, got)
		}
	}
}

func TestWhatCannotSucceedIsNotBegun(t *testing.T) {
	for want, cause := range map[string]func(f *fakeMachine){
		"engine: version 19.03.8 of Docker Engine is too old": func(f *fakeMachine) { f.version = "19.03.8" },
		"hypervisor: list hypervisors: connection refused": func(f *fakeMachine) {
			f.Nova = func(context.Context) (Cloud, error) {
				return nil, errors.New("list hypervisors: connection refused")
			}
		},
	} {
		f := newFake(t, false)
		cause(f)
		before := f.tree()
		if _, err := f.setup(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v", err)
		}
		if after := f.tree(); after != before || len(f.commands) > 0 {
			t.Errorf("ran %q, and the tree is\n%s", f.commands, after)
		}
	}
}
