package layout

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ndock/openstack/node/layout/layouttest"
)

func TestLayoutsAreFoundByLooking(t *testing.T) {
	for name, test := range map[string]struct {
		tree                          map[string]string
		service, config, user, engine string
	}{
		"Debian":   {layouttest.Debian, "nova-compute", "/etc/nova/nova-compute.conf", "nova", "docker.io"},
		"RDO":      {layouttest.RDO, "openstack-nova-compute", "/etc/nova/nova.conf", "nova", "moby-engine"},
		"DevStack": {layouttest.DevStack, "devstack@n-cpu", "/etc/nova/nova-cpu.conf", "stack", "docker.io"},
		"Kolla":    {layouttest.Kolla, "kolla-nova_compute-container", "/etc/kolla/nova-compute/nova.conf", "42436", "docker.io"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			layouttest.Lay(t, root, test.tree)
			l, err := Find(root, Custom{})
			if err != nil {
				t.Fatal(err)
			}
			if l.Compute.Name != test.service || l.Config != test.config || l.User != test.user || l.Engine.Name != test.engine {
				t.Errorf("found %+v", l)
			}
		})
	}
}

func TestDevStackWithoutAVirtualEnvironment(t *testing.T) {
	root := t.TempDir()
	layouttest.Lay(t, root, map[string]string{
		devstackUnit:              "[Service]\nExecStart = /usr/local/bin/nova-compute --config-file /etc/nova/nova-cpu.conf\nUser = bob\n",
		"/etc/nova/nova-cpu.conf": "", "/home/bob/devstack/local.conf": "",
	})
	l, err := Find(root, Custom{})
	if err != nil || l.Program != "/usr/local/bin/nova-compute" || l.User != "bob" || l.DeployTool == nil || l.DeployTool.Path != "/home/bob/devstack/local.conf" {
		t.Errorf("found %+v, %v", l, err)
	}
}

func TestTwoNovas(t *testing.T) {
	root := t.TempDir()
	layouttest.Lay(t, root, layouttest.Debian)
	layouttest.Lay(t, root, layouttest.DevStack)
	_, err := Find(root, Custom{})
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || err.Error() != "there is more than one Nova on this machine: that of Debian's and Ubuntu's packages, and that of DevStack" {
		t.Fatalf("got %v", err)
	}
	layouttest.Lay(t, root, map[string]string{"/srv/venv/bin/python": "", "/srv/nova.conf": "[DEFAULT]\nhost = mine\n"})
	l, err := Find(root, Custom{Python: "/srv/venv/bin/python", Conf: "/srv/nova.conf", Service: "my-nova.service", User: "nova2"})
	if err != nil || l.Compute.Name != "my-nova" || l.Config != "/srv/nova.conf" || l.User != "nova2" || l.Python[0] != "/srv/venv/bin/python" {
		t.Errorf("found %+v, %v", l, err)
	}
	if host, err := l.Host(); err != nil || host != "mine" {
		t.Errorf("it is %s, %v", host, err)
	}
	if _, err := Find(root, Custom{Python: "/srv/none", Conf: "/srv/nova.conf", Service: "my-nova"}); err == nil || !strings.Contains(err.Error(), "/srv/none") {
		t.Errorf("got %v", err)
	}
}

func TestANovaThatIsNotConfigured(t *testing.T) {
	root := t.TempDir()
	layouttest.Lay(t, root, layouttest.Debian)
	if err := os.Remove(filepath.Join(root, "/etc/nova/nova.conf")); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(root, Custom{}); err == nil || !strings.HasSuffix(err.Error(), "/etc/nova/nova.conf is not there") {
		t.Errorf("got %v", err)
	}
}

func TestNoComputeNode(t *testing.T) {
	root := t.TempDir()
	_, err := Find(root, Custom{})
	if want := "this is no compute node: " + root + "/usr/bin/nova-compute is not there, and neither is a nova-compute of RDO's packages"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestControllersAreFoundByLooking(t *testing.T) {
	for want, tree := range map[string]map[string]string{
		"glance-api":                 {"/etc/glance/glance-api.conf": ""},
		"openstack-glance-api":       {"/etc/glance/glance-api.conf": "", "/usr/lib/systemd/system/openstack-glance-api.service": ""},
		"devstack@g-api":             {"/etc/glance/glance-api.conf": "", "/etc/systemd/system/devstack@g-api.service": ""},
		"kolla-glance_api-container": {"/etc/kolla/glance-api/glance-api.conf": ""},
	} {
		root := t.TempDir()
		layouttest.Lay(t, root, tree)
		if l, err := FindController(root); err != nil || l.Glance.Name != want {
			t.Errorf("got %+v, %v", l.Glance, err)
		}
	}
	if _, err := FindController(t.TempDir()); err == nil || !strings.HasPrefix(err.Error(), "this is no controller: ") {
		t.Errorf("got %v", err)
	}
}

// The engine that has Kolla's container is this machine's, wherever DOCKER_HOST or a context of the operator's leads.
func TestKollasContainerIsThisMachines(t *testing.T) {
	root := t.TempDir()
	layouttest.Lay(t, root, layouttest.Kolla)
	l, err := Find(root, Custom{})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(l.Python, " "); got != "docker --host unix:///run/docker.sock exec nova_compute python3" {
		t.Errorf("it is asked by %s", got)
	}
}
