// Package layouttest has the trees of nodes of several installations, for tests.
package layouttest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Lay makes files on a tree, with their directories.
func Lay(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for path, content := range files {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
}

// The trees of nodes, as far as setup looks: of Debian's packages, of RDO's on CentOS Stream 9, of a DevStack of 2026 on
// Ubuntu 24.04 and of Kolla-Ansible 2026.1.
var (
	Debian = map[string]string{
		"/usr/bin/nova-compute": "#!/usr/bin/python3\n", "/usr/bin/apt-get": "", "/etc/nova/nova.conf": "[DEFAULT]\n",
		"/usr/lib/systemd/system/nova-compute.service": "[Service]\nUser=nova\n",
	}
	RDO = map[string]string{
		"/usr/bin/nova-compute": "#!/usr/bin/python3 -s\n", "/usr/bin/dnf": "", "/usr/bin/dockerd": "",
		"/etc/nova/nova.conf": "[DEFAULT]\nhost=rdo-1\ncompute_driver=libvirt.LibvirtDriver\n",
		"/usr/lib/systemd/system/openstack-nova-compute.service": "[Service]\nUser=nova\nExecStart=/usr/bin/nova-compute\n",
		"/usr/lib/python3.9/site-packages/nova/virt/__init__.py": "",
		"/sys/fs/selinux/enforce":                                "1",
		"/etc/systemd/system/multi-user.target.wants/nothing":    "",
		"/usr/share/nova/nova-dist.conf":                         "[DEFAULT]\ncompute_driver=libvirt.LibvirtDriver\n",
	}
	DevStack = map[string]string{
		"/etc/systemd/system/devstack@n-cpu.service": "[Unit]\nDescription = Devstack devstack@n-cpu.service\n\n[Service]\nUser = stack\nGroup = libvirt\nExecStart = /opt/stack/data/venv/bin/nova-compute --config-file /etc/nova/nova-cpu.conf\n",
		"/opt/stack/data/venv/bin/nova-compute":      "#!/opt/stack/data/venv/bin/python3.12\n",
		"/etc/nova/nova-cpu.conf":                    "[DEFAULT]\ncompute_driver = libvirt.LibvirtDriver\nhost = dev-1\n",
		"/opt/stack/devstack/local.conf":             "[[local|localrc]]\nADMIN_PASSWORD=secret\n",
		"/opt/stack/nova/nova/virt/__init__.py":      "",
		"/usr/sbin/dockerd":                          "",
		"/usr/bin/apt-get":                           "",
	}
	Kolla = map[string]string{
		"/etc/kolla/nova-compute/config.json": kollaJSON,
		"/etc/kolla/nova-compute/nova.conf":   "[DEFAULT]\nhost = kolla-1\ncompute_driver = libvirt.LibvirtDriver\n",
		"/etc/kolla/globals.yml":              "---\n",
		"/usr/bin/dockerd":                    "",
		"/usr/sbin/dockerd":                   "",
	}
)

const kollaJSON = `{
    "command": "nova-compute",
    "config_files": [
        {
            "source": "/var/lib/kolla/config_files/nova.conf",
            "dest": "/etc/nova/nova.conf",
            "owner": "nova",
            "perm": "0600"
        }
    ],
    "permissions": []
}
`
