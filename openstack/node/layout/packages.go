package layout

import (
	"ndock/openstack/node/system"
)

// program is nova-compute as packages install it.
const program = "/usr/bin/nova-compute"

// dropIns are the directories that Nova reads after its files (oslo.config, find_config_dirs).
var dropIns = []string{"/etc/nova/nova.conf.d", "/etc/nova/nova-compute.conf.d"}

// findDebian finds how the packages of Debian and Ubuntu lay Nova out.
func findDebian(root string) (Layout, bool) {
	l := general(root)
	l.Name = "Debian's and Ubuntu's packages"
	l.Compute = system.Service{Name: "nova-compute", PIDFile: "/run/nova/nova-compute.pid", Log: "/var/log/nova/nova-compute.log"}
	l.Program = program
	l.Configs = append([]string{"/etc/nova/nova.conf", "/etc/nova/nova-compute.conf"}, dropIns...)
	l.Config = "/etc/nova/nova-compute.conf"
	return l, exists(root, program) && !exists(root, rdoUnits...)
}

var rdoUnits = []string{"/usr/lib/systemd/system/openstack-nova-compute.service", "/etc/systemd/system/openstack-nova-compute.service"}

// findRDO finds how RDO's packages lay it out, on RHEL and its rebuilds; so does Packstack, which installs them.
func findRDO(root string) (Layout, bool) {
	l := general(root)
	l.Name = "RDO's packages"
	l.Compute = system.Service{Name: "openstack-nova-compute", Log: "/var/log/nova/nova-compute.log"}
	l.Program = program
	l.Configs = append([]string{"/etc/nova/nova.conf", "/etc/nova/nova-compute.conf"}, dropIns...)
	l.Config = "/etc/nova/nova.conf"
	return l, exists(root, program) && exists(root, rdoUnits...)
}
