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

// dashboards are the directories of Horizon's package openstack_dashboard.local: of RDO and Ubuntu, of Debian, and of DevStack.
var dashboards = []string{
	"/usr/share/openstack-dashboard/openstack_dashboard/local",
	"/usr/lib/python3/dist-packages/openstack_dashboard/local",
	"/opt/stack/horizon/openstack_dashboard/local",
}

// findDashboard returns the one of this machine, and the web server's service; both are empty where there is none.
func findDashboard(root string) (string, system.Service) {
	for _, dir := range dashboards {
		switch {
		case !exists(root, dir+"/local_settings.d"):
		case exists(root, "/usr/sbin/apache2"):
			return dir, system.Service{Name: "apache2", PIDFile: "/run/apache2/apache2.pid", Log: "/var/log/apache2/error.log"}
		case exists(root, "/usr/sbin/httpd"):
			return dir, system.Service{Name: "httpd", PIDFile: "/run/httpd/httpd.pid", Log: "/var/log/httpd/error_log"}
		default:
			return dir, system.Service{}
		}
	}
	return "", system.Service{}
}

// FindController returns the layout of the Glance under root.
func FindController(root string) (Layout, error) {
	for _, one := range glanceLayouts {
		if exists(root, one.conf) && (one.unit == "" || exists(root, one.unit)) {
			l := general(root)
			l.Name, l.Config = "Glance", one.conf
			l.Glance = system.Service{Name: one.service, PIDFile: "/run/glance/glance-api.pid", Log: "/var/log/glance/glance-api.log"}
			l.Dashboard, l.Web = findDashboard(root)
			return l, nil
		}
	}
	return Layout{}, system.Advise(fmt.Errorf("this is no controller: neither %s nor %s is there", filepath.Join(root, glanceLayouts[3].conf), filepath.Join(root, glanceLayouts[0].conf)),
		"run this where Glance runs")
}
