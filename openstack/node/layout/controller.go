package layout

import (
	"fmt"
	"path/filepath"

	"ndock/openstack/node/system"
)

// glanceLayouts are where installations have Glance's configuration, and the service that reads it. A unit tells apart those
// that share a path.
var glanceLayouts = []struct{ conf, unit, service string }{
	{"/etc/kolla/glance-api/glance-api.conf", "", "kolla-glance_api-container"},
	{"/etc/glance/glance-api.conf", "/etc/systemd/system/devstack@g-api.service", "devstack@g-api"},
	{"/etc/glance/glance-api.conf", "/usr/lib/systemd/system/openstack-glance-api.service", "openstack-glance-api"},
	{"/etc/glance/glance-api.conf", "", "glance-api"},
}

// FindController returns the layout of the Glance under root.
func FindController(root string) (Layout, error) {
	for _, one := range glanceLayouts {
		if exists(root, one.conf) && (one.unit == "" || exists(root, one.unit)) {
			l := general(root)
			l.Name, l.Config = "Glance", one.conf
			l.Glance = system.Service{Name: one.service, PIDFile: "/run/glance/glance-api.pid", Log: "/var/log/glance/glance-api.log"}
			return l, nil
		}
	}
	return Layout{}, system.Advise(fmt.Errorf("this is no controller: neither %s nor %s is there", filepath.Join(root, glanceLayouts[3].conf), filepath.Join(root, glanceLayouts[0].conf)),
		"run this where Glance runs")
}
