// Package layout finds how Nova, or Glance, is installed on this machine, by looking: where its files are, what its service
// is called, and as whom that runs.
package layout

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ndock/openstack/node/system"
	"ndock/openstack/oslo"
)

// Layout is where an installation of Nova has what the steps work on. Paths are the machine's own; Path puts the root
// before them.
type Layout struct {
	Name       string          // for people
	Root       string          // "/", but in tests
	Compute    system.Service  // nova-compute
	Program    string          // its script, whose first line names Nova's Python
	Python     []string        // that Python, where Program does not tell it
	User       string          // who nova-compute runs as: a name, or a number
	Configs    []string        // what nova-compute reads, each file before those that override it
	Config     string          // one of them, where compute_driver is set; may be missing, then it is made
	DeployTool *DeployToolFile // where the tool that deployed Nova keeps what it would otherwise forget
	Kolla      bool            // nova-compute runs in a container of Kolla's
	Glance     system.Service  // on a controller
	Engine     Package         // Docker Engine
	AgentFile  string          // where ndock's agent is run from
	AgentConf  string          // the operator's file for it
}

// Kept is a file that a deployment tool reads, and puts into Nova's configuration each time.
type DeployToolFile struct {
	Path    string
	Section string // of it, under which Nova's sections are; empty where they are its own
	Tool    string
}

// Package is software that the distribution brings.
type Package struct {
	Name    string
	Install []string // the command
	Refresh []string // the one by which the package manager hears what there is; none where it does so itself
	Service system.Service
}

// hasEngine tells of anyone's dockerd: Docker's own packages have it in another place than some distributions do.
func (l Layout) HasEngine() bool { return l.Exists("/usr/sbin/dockerd", "/usr/bin/dockerd") }

// Exists tells whether one of the paths is there.
func (l Layout) Exists(paths ...string) bool { return exists(l.Root, paths...) }

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
	files, err := l.ConfigFiles()
	if err != nil {
		return "", false, err
	}
	for _, path := range slices.Backward(files) {
		conf, err := ReadConf(path)
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
func (l Layout) ConfigFiles() ([]string, error) {
	var files []string
	for _, path := range l.Configs {
		info, err := os.Stat(l.Path(path))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, system.FileError("read", l.Path(path), err)
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

func ReadConf(path string) (*oslo.Conf, error) {
	content, err := system.ReadFile(path)
	if err != nil {
		return nil, system.FileError("read", path, err)
	}
	return oslo.Parse(path, content)
}

// instances is where Nova's other drivers have the files of servers.
func (l Layout) InstancesDir() (string, error) {
	dir, _, err := l.option("instances_path")
	if err != nil {
		return "", err
	}
	state, _, err := l.option("state_path")
	state = cmp.Or(state, "/var/lib/nova")
	dir = strings.NewReplacer("$state_path", state, "${state_path}", state).Replace(cmp.Or(dir, "$state_path/instances"))
	if below, ok := strings.CutPrefix(dir, "/var/lib/nova/"); ok && l.Kolla {
		dir = filepath.Join(kollaVolume, below)
	}
	return dir, err
}
