package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ndock/openstack/node/system"
)

// Named is an installation that the operator describes himself; empty where it is to be found by looking.
type Custom struct {
	Python  string // Nova's
	Conf    string // what its nova-compute reads
	Service string
	User    string
}

// finders are the layouts that are known, each with what it is recognised by.
var finders = []func(root string) (Layout, bool){findDebian, findRDO, findDevStack, findKolla}

// Find looks at what is installed under root, and returns how it is laid out.
func Find(root string, named Custom) (Layout, error) {
	if named.Service != "" {
		return findCustom(root, named)
	}
	var found []Layout
	for _, find := range finders {
		if layout, ok := find(root); ok {
			found = append(found, layout)
		}
	}
	switch len(found) {
	case 0:
		return Layout{}, system.Advise(fmt.Errorf("this is no compute node: %s is not there, and neither is a nova-compute of RDO's packages, DevStack's or Kolla's (%s, %s, %s)",
			filepath.Join(root, program), filepath.Join(root, rdoUnits[0]), filepath.Join(root, devstackUnit), filepath.Join(root, KollaConfig)),
			"install Nova's compute service first (Debian's package nova-compute), or name another installation with --nova-python, --nova-conf and --service")
	case 1:
		return found[0], found[0].check()
	}
	names := make([]string, len(found))
	for i, layout := range found {
		names[i] = layout.Name
	}
	return Layout{}, system.Advise(fmt.Errorf("there is more than one Nova on this machine: that of %s", strings.Join(names, ", and that of ")),
		"say which one it shall be, with --nova-python, --nova-conf and --service")
}

// check refuses an installation whose configuration is missing: its packages are there, and nobody has set it up.
func (l Layout) check() error {
	main := l.Configs[0]
	_, err := os.Stat(l.Path(main))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return system.Advise(fmt.Errorf("this is no compute node: %s is not there", l.Path(main)), "configure nova-compute first, so that it runs")
	case err != nil:
		return system.FileError("read", l.Path(main), err)
	}
	return nil
}

// custom is what the operator says of an installation of his own.
func findCustom(root string, named Custom) (Layout, error) {
	l := general(root)
	l.Name = "the installation that was named"
	name := strings.TrimSuffix(named.Service, ".service")
	l.Compute = system.Service{Name: name, PIDFile: "/run/nova/" + name + ".pid", Log: "/var/log/nova/" + name + ".log"}
	l.Python = []string{named.Python}
	l.Configs, l.Config, l.User = []string{named.Conf}, named.Conf, named.User
	if _, err := os.Stat(l.Path(named.Python)); err != nil {
		return l, system.FileError("find Nova's Python,", l.Path(named.Python), err)
	}
	return l, l.check()
}

// general is what all have in common, on a machine with this package manager.
func general(root string) Layout {
	return Layout{Root: root, User: "nova", AgentFile: "/usr/local/bin/ndock", AgentConf: "/etc/ndock/agent.yaml", Engine: enginePackage(root)}
}

// enginePackage is the distribution's own.
func enginePackage(root string) Package {
	engine := Package{
		Name: "docker.io",
		// Others, as unattended upgrades after a boot, have the package manager for minutes; a file that is edited stays.
		Install: []string{"apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Options::=--force-confold", "install", "-y", "-q", "docker.io"},
		Refresh: []string{"apt-get", "-o", "DPkg::Lock::Timeout=300", "-q", "update"},
		Service: system.Service{Name: "docker", PIDFile: "/run/docker.pid", Log: "/var/log/docker.log"},
	}
	if exists(root, "/usr/bin/dnf") {
		engine.Name, engine.Install, engine.Refresh = "moby-engine", []string{"dnf", "install", "-y", "-q", "moby-engine"}, nil
	}
	return engine
}
