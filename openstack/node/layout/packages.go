package layout

import (
	"path/filepath"
	"slices"

	"ndock/openstack/node/system"
)

// program is nova-compute as packages install it.
const program = "/usr/bin/nova-compute"

// dropIns are the directories that Nova looks into by itself (oslo.config, find_config_dirs). It reads them after the files that
// it finds by itself, and before those that its command line names.
var dropIns = []string{"/etc/nova/nova.conf.d", "/etc/nova/nova-compute.conf.d"}

// DropIn is the file that setup makes where Nova's drop-ins beat its other files. nova-compute alone reads that directory.
const DropIn = "/etc/nova/nova-compute.conf.d/ndock.conf"

// IsDropIn tells whether a file is in one of the directories that Nova looks into by itself.
func IsDropIn(path string) bool { return slices.Contains(dropIns, filepath.Dir(path)) }

// These are the files of packages, as they install them.
const (
	novaConf    = "/etc/nova/nova.conf"
	computeConf = "/etc/nova/nova-compute.conf"
)

// findDebian finds Nova from the packages of Debian and Ubuntu.
func findDebian(root string) (Layout, bool) {
	l := general(root)
	l.Name = "Debian's and Ubuntu's packages"
	l.Compute = system.Service{Name: "nova-compute", PIDFile: "/run/nova/nova-compute.pid", Log: "/var/log/nova/nova-compute.log"}
	l.Program = program
	l.Configs = append(slices.Clone(dropIns), novaConf, computeConf) // its script names the two files
	l.Config = computeConf
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
	l.Configs = append([]string{"/usr/share/nova/nova-dist.conf", novaConf, computeConf}, dropIns...) // its unit names none
	l.Config = novaConf
	return l, exists(root, program) && exists(root, rdoUnits...)
}
