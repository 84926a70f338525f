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

func TestKollasFilesOfServers(t *testing.T) {
	l := Layout{Root: t.TempDir(), Kolla: true}
	if got, err := l.InstancesDir(); err != nil || got != "/var/lib/docker/volumes/nova_compute/_data/instances" {
		t.Errorf("got %s, %v", got, err)
	}
}
