package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ndock/openstack/oslo"
)

// Layout is where an installation of Nova has what the steps work on. Paths are the machine's own; Path puts the root
// before them.
type Layout struct {
	Name      string   // for people
	Root      string   // "/", but in tests
	Compute   Service  // nova-compute
	Program   string   // its script, whose first line names Nova's Python
	Python    []string // that Python, where Program does not tell it
	User      string   // who nova-compute runs as: a name, or a number
	Configs   []string // what nova-compute reads, each file before those that override it
	Config    string   // one of them, where compute_driver is set; may be missing, then it is made
	Kept      *Kept    // where the tool that deployed Nova keeps what it would otherwise forget
	Kolla     bool     // nova-compute runs in a container of Kolla's
	Glance    Service  // on a controller
	Engine    Package  // Docker Engine
	AgentFile string   // where ndock's agent is run from
	AgentConf string   // the operator's file for it
}

// Kept is a file that a deployment tool reads, and puts into Nova's configuration each time.
type Kept struct {
	Path    string
	Section string // of it, under which Nova's sections are; empty where they are its own
	Tool    string
}

// Package is software that the distribution brings.
type Package struct {
	Name    string
	Install []string // the command
	Refresh []string // the one by which the package manager hears what there is; none where it does so itself
	Service Service
}

// Named is an installation that the operator describes himself; empty where it is to be found by looking.
type Named struct {
	Python  string // Nova's
	Conf    string // what its nova-compute reads
	Service string
	User    string
}

// finders are the layouts that are known, each with what it is recognised by.
var finders = []func(root string) (Layout, bool){findDebian, findRDO, findDevStack, findKolla}

// Find looks at what is installed under root, and returns how it is laid out.
func Find(root string, named Named) (Layout, error) {
	if named.Service != "" {
		return custom(root, named)
	}
	var found []Layout
	for _, find := range finders {
		if layout, ok := find(root); ok {
			found = append(found, layout)
		}
	}
	switch len(found) {
	case 0:
		return Layout{}, advise(fmt.Errorf("this is no compute node: %s is not there, and neither is a nova-compute of RDO's packages, DevStack's or Kolla's (%s, %s, %s)",
			filepath.Join(root, program), filepath.Join(root, rdoUnits[0]), filepath.Join(root, devstackUnit), filepath.Join(root, kollaConfig)),
			"install Nova's compute service first (Debian's package nova-compute), or name another installation with --nova-python, --nova-conf and --service")
	case 1:
		return found[0], found[0].check()
	}
	names := make([]string, len(found))
	for i, layout := range found {
		names[i] = layout.Name
	}
	return Layout{}, advise(fmt.Errorf("there is more than one Nova on this machine: that of %s", strings.Join(names, ", and that of ")),
		"say which one it shall be, with --nova-python, --nova-conf and --service")
}

// check refuses an installation whose configuration is missing: its packages are there, and nobody has set it up.
func (l Layout) check() error {
	main := l.Configs[0]
	_, err := os.Stat(l.Path(main))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return advise(fmt.Errorf("this is no compute node: %s is not there", l.Path(main)), "configure nova-compute first, so that it runs")
	case err != nil:
		return fileError("read", l.Path(main), err)
	}
	return nil
}

// custom is what the operator says of an installation of his own.
func custom(root string, named Named) (Layout, error) {
	l := general(root)
	l.Name = "the installation that was named"
	name := strings.TrimSuffix(named.Service, ".service")
	l.Compute = Service{Name: name, PIDFile: "/run/nova/" + name + ".pid", Log: "/var/log/nova/" + name + ".log"}
	l.Python = []string{named.Python}
	l.Configs, l.Config, l.User = []string{named.Conf}, named.Conf, named.User
	if _, err := os.Stat(l.Path(named.Python)); err != nil {
		return l, fileError("find Nova's Python,", l.Path(named.Python), err)
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
		Service: Service{Name: "docker", PIDFile: "/run/docker.pid", Log: "/var/log/docker.log"},
	}
	if exists(root, "/usr/bin/dnf") {
		engine.Name, engine.Install, engine.Refresh = "moby-engine", []string{"dnf", "install", "-y", "-q", "moby-engine"}, nil
	}
	return engine
}

// hasEngine tells of anyone's dockerd: Docker's own packages have it in another place than some distributions do.
func (l Layout) hasEngine() bool { return exists(l.Root, "/usr/sbin/dockerd", "/usr/bin/dockerd") }

func exists(root string, paths ...string) bool {
	return slices.ContainsFunc(paths, func(path string) bool { _, err := os.Stat(filepath.Join(root, path)); return err == nil })
}

// Path is where one of the machine's paths is seen from here.
func (l Layout) Path(path string) string { return filepath.Join(l.Root, path) }

// Host is the name that Nova knows this machine by: `host` in its configuration, else the machine's own.
func (l Layout) Host() (string, error) {
	host, found, err := l.option("host")
	if err != nil || found {
		return host, err
	}
	return os.Hostname()
}

// option is one of Nova's in [DEFAULT]: what the file says that is read last.
func (l Layout) option(name string) (value string, found bool, err error) {
	files, err := l.configFiles()
	if err != nil {
		return "", false, err
	}
	for _, path := range slices.Backward(files) {
		conf, err := readConf(path)
		if err != nil {
			return "", false, err
		}
		if value, found, err = conf.Get("DEFAULT", name); err != nil || found {
			return value, found, err
		}
	}
	return "", false, nil
}

// configFiles are the files that nova-compute reads, as far as they are there, each before those that override it.
func (l Layout) configFiles() ([]string, error) {
	var files []string
	for _, path := range l.Configs {
		info, err := os.Stat(l.Path(path))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fileError("read", l.Path(path), err)
		case info.IsDir():
			inside, err := filepath.Glob(filepath.Join(l.Path(path), "*.conf")) // sorted, as oslo.config reads them
			if err != nil {
				return nil, err
			}
			files = append(files, inside...)
		default:
			files = append(files, l.Path(path))
		}
	}
	return files, nil
}

func readConf(path string) (*oslo.Conf, error) {
	content, err := readFile(path)
	if err != nil {
		return nil, fileError("read", path, err)
	}
	return oslo.Parse(path, content)
}
