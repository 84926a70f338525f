package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ndock/openstack/node/system"
)

// Custom is an installation that the operator describes. It is empty where the layout is to be found by looking.
type Custom struct {
	Python  string // Nova's
	Conf    string // the file that its nova-compute reads
	Service string
	User    string
}

// finders look for the layouts that are known.
var finders = []func(root string) (Layout, bool){findDebian, findRDO, findDevStack, findKolla}

// Find returns the layout of the nova-compute under root, or the one that the operator describes.
func Find(root string, custom Custom) (Layout, error) {
	if custom.Service != "" {
		return findCustom(root, custom)
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

// check returns an error where the configuration is missing: the packages are installed, but not configured.
func (l Layout) check() error {
	main := l.Config
	if slices.Contains(l.Configs, novaConf) { // Config may be missing where Nova has another one, too
		main = novaConf
	}
	_, err := os.Stat(l.Path(main))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return system.Advise(fmt.Errorf("this is no compute node: %s is not there", l.Path(main)), "configure nova-compute first, so that it runs")
	case err != nil:
		return system.FileError("read", l.Path(main), err)
	}
	return nil
}

// findCustom returns the layout that the operator describes.
func findCustom(root string, custom Custom) (Layout, error) {
	l := general(root)
	l.Name = "the installation that was named"
	name := strings.TrimSuffix(custom.Service, ".service")
	l.Compute = system.Service{Name: name, PIDFile: "/run/nova/" + name + ".pid", Log: "/var/log/nova/" + name + ".log"}
	l.Python = []string{custom.Python}
	l.Configs, l.Config, l.User = []string{custom.Conf}, custom.Conf, custom.User
	l.Arguments = []string{"--config-file", custom.Conf}
	if _, err := os.Stat(l.Path(custom.Python)); err != nil {
		return l, system.FileError("find Nova's Python,", l.Path(custom.Python), err)
	}
	return l, l.check()
}

// general returns what all layouts have in common.
func general(root string) Layout {
	l := Layout{
		Root: root, User: "nova", AgentFile: "/usr/local/bin/ndock", Runtime: "/usr/libexec/ndock/ndock-runtime", AgentConf: "/etc/ndock/agent.yaml",
		Engine: enginePackage(root),
	}
	if l.Exists(PackageMarker) {
		l.Package = "/usr/bin/ndock"
	}
	return l
}

// PackageMarker is a file of ndock's package. Where it is, the programs, the unit, the man page and the completions are the
// package's.
const PackageMarker = "/usr/share/ndock/package"

// enginePackage returns the distribution's package of Docker Engine.
func enginePackage(root string) Package {
	engine := Package{
		Name: "docker.io",
		// Unattended upgrades can hold the package manager for minutes after a boot. Files that the operator edited stay.
		Install: []string{"apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Options::=--force-confold", "install", "-y", "-q", "docker.io"},
		Refresh: []string{"apt-get", "-o", "DPkg::Lock::Timeout=300", "-q", "update"},
		Service: system.Service{Name: "docker", PIDFile: "/run/docker.pid", Log: "/var/log/docker.log"},
	}
	if exists(root, "/usr/bin/dnf") {
		engine.Name, engine.Install, engine.Refresh = "moby-engine", []string{"dnf", "install", "-y", "-q", "moby-engine"}, nil
	}
	return engine
}
