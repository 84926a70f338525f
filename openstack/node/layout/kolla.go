package layout

import (
	"ndock/openstack/node/system"
)

// Where Kolla-Ansible has nova-compute's files on a node, and what it reads on the host that it is run from.
const (
	kollaDir      = "/etc/kolla/nova-compute"
	KollaConfig   = kollaDir + "/config.json"
	kollaGlobals  = "/etc/kolla/globals.yml"
	kollaOverride = "/etc/kolla/config/nova/nova-compute.conf"
)

// kollaUser is nova in Kolla's images (kolla/common/users.py): a number, because this machine need not know the name.
const kollaUser = "42436"

// findKolla finds a nova-compute in Kolla's container, which mounts /run and reads /etc/kolla/nova-compute when it starts.
func findKolla(root string) (Layout, bool) {
	l := general(root)
	l.Name = "Kolla-Ansible"
	l.Compute = system.Service{Name: "kolla-nova_compute-container", Log: "/var/log/kolla/nova/nova-compute.log"}
	l.Python = []string{"docker", "exec", "nova_compute", "python3"}
	l.User = kollaUser
	l.Configs = []string{kollaDir + "/nova.conf"}
	l.Config = kollaDir + "/nova.conf"
	l.Kolla = true
	if exists(root, kollaGlobals) { // it is run from here
		l.DeployTool = &DeployToolFile{Path: kollaOverride, Tool: "kolla-ansible"}
	}
	return l, exists(root, KollaConfig)
}

// kollaVolume is what the container has as /var/lib/nova.
const kollaVolume = "/var/lib/docker/volumes/nova_compute/_data"

// kollaShim is where the driver's files lie for the container to copy.
const KollaShim = kollaDir + "/ndock-driver"
