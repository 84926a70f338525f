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
