package layout

import (
	"ndock/openstack/node/system"
)

// Where Kolla-Ansible has nova-compute's files.
const (
	kollaDir    = "/etc/kolla/nova-compute"
	KollaConfig = kollaDir + "/config.json"                    // says what the container copies when it starts
	KollaShim   = kollaDir + "/ndock-driver"                   // the driver, for the container to copy
	kollaVolume = "/var/lib/docker/volumes/nova_compute/_data" // the container's /var/lib/nova
)

// KollaContainer is nova-compute's.
const KollaContainer = "nova_compute"

// KollaDocker is the client of this machine's engine, whatever DOCKER_HOST says.
func KollaDocker() []string { return []string{"docker", "--host", "unix:///run/docker.sock"} }

// What Kolla-Ansible reads on the host that it is run from.
const (
	kollaGlobals  = "/etc/kolla/globals.yml"
	kollaOverride = "/etc/kolla/config/nova/nova-compute.conf"
)

// kollaUser is the number of nova in Kolla's images (kolla/common/users.py). This machine need not know the name.
const kollaUser = "42436"

// findKolla finds a nova-compute in Kolla's container, which mounts /run and reads /etc/kolla/nova-compute when it starts.
func findKolla(root string) (Layout, bool) {
	l := general(root)
	l.Name = "Kolla-Ansible"
	l.Compute = system.Service{Name: "kolla-nova_compute-container", Log: "/var/log/kolla/nova/nova-compute.log"}
	l.Python = append(KollaDocker(), "exec", KollaContainer, "python3")
	l.User = kollaUser
	l.Configs = []string{kollaDir + "/nova.conf"}
	l.Config = kollaDir + "/nova.conf"
	l.Kolla = true
	if exists(root, kollaGlobals) { // Kolla-Ansible is run from here
		l.DeployTool = &DeployToolFile{Path: kollaOverride, Tool: "kolla-ansible"}
	}
	return l, exists(root, KollaConfig)
}
