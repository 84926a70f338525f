package layout

import (
	"ndock/openstack/node/system"
)

// program is nova-compute as packages install it.
const program = "/usr/bin/nova-compute"

// dropIns are the directories that Nova reads after its files (oslo.config, find_config_dirs).
var dropIns = []string{"/etc/nova/nova.conf.d", "/etc/nova/nova-compute.conf.d"}

// findDebian finds Nova from the packages of Debian and Ubuntu.
func findDebian(root string) (Layout, bool) {
	l := general(root)
	l.Name = "Debian's and Ubuntu's packages"
	l.Compute = system.Service{Name: "nova-compute", PIDFile: "/run/nova/nova-compute.pid", Log: "/var/log/nova/nova-compute.log"}
	l.Program = program
	l.Configs = append([]string{"/etc/nova/nova.conf", "/etc/nova/nova-compute.conf"}, dropIns...)
	l.Config = "/etc/nova/nova-compute.conf"
	return l, exists(root, program) && !exists(root, rdoUnits...)
}

// rdoUnits are where RDO's unit of nova-compute can be.
var rdoUnits = []string{"/usr/lib/systemd/system/openstack-nova-compute.service", "/etc/systemd/system/openstack-nova-compute.service"}

// findRDO finds Nova from RDO's packages, for RHEL and its rebuilds, which Packstack installs, too.
func findRDO(root string) (Layout, bool) {
	l := general(root)
	l.Name = "RDO's packages"
	l.Compute = system.Service{Name: "openstack-nova-compute", Log: "/var/log/nova/nova-compute.log"}
	l.Program = program
	l.Configs = append([]string{"/etc/nova/nova.conf", "/etc/nova/nova-compute.conf"}, dropIns...)
	l.Config = "/etc/nova/nova.conf"
	return l, exists(root, program) && exists(root, rdoUnits...)
}
