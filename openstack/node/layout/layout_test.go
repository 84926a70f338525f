package layout

import (
	"os"
	"testing"

	"ndock/openstack/node/layout/layouttest"
)

func TestHost(t *testing.T) {
	root := t.TempDir()
	layouttest.Lay(t, root, layouttest.Debian)
	l, err := Find(root, Custom{})
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ first, second, want string }{
		{"[DEFAULT]\nhost = node-1\n", "", "node-1"},
		{"[DEFAULT]\nhost = node-1\n", "[DEFAULT]\nhost = node-2\n", "node-2"},
		{"", "", own},
	} {
		layouttest.Lay(t, root, map[string]string{"/etc/nova/nova.conf": test.first, "/etc/nova/nova-compute.conf": test.second})
		if host, err := l.Host(); host != test.want || err != nil {
			t.Errorf("%q: got %q, %v", test, host, err)
		}
	}
}

// Which file wins is not the same everywhere: Debian's script names its files, and RDO's unit does not.
func TestFilesAndDropIns(t *testing.T) {
	for name, test := range map[string]struct {
		tree map[string]string
		want string
		file string
		wins bool
	}{
		"Debian":   {layouttest.Debian, "file", "/etc/nova/nova.conf", false},
		"DevStack": {layouttest.DevStack, "dev-1", "/etc/nova/nova-cpu.conf", false},
		"RDO":      {layouttest.RDO, "drop-in", "/etc/nova/nova.conf.d/a.conf", true},
	} {
		root := t.TempDir()
		layouttest.Lay(t, root, test.tree)
		layouttest.Lay(t, root, map[string]string{"/etc/nova/nova.conf": "[DEFAULT]\nhost = file\n", "/etc/nova/nova.conf.d/a.conf": "[DEFAULT]\nhost = drop-in\n"})
		l, err := Find(root, Custom{})
		if err != nil {
			t.Fatal(err)
		}
		if now, err := l.Setting("DEFAULT", "host"); err != nil || now.Value != test.want || now.File != test.file || now.DropInsWin != test.wins {
			t.Errorf("%s: got %+v, %v", name, now, err)
		}
		if host, err := l.Host(); err != nil || host != test.want {
			t.Errorf("%s: it is %s, %v", name, host, err)
		}
	}
}

func TestKollasFilesOfServers(t *testing.T) {
	l := Layout{Root: t.TempDir(), Kolla: true}
	if got, err := l.InstancesDir(); err != nil || got != "/var/lib/docker/volumes/nova_compute/_data/instances" {
		t.Errorf("got %s, %v", got, err)
	}
}
