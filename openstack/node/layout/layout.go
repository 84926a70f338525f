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

// Layout is where an installation of Nova, or of Glance, has what setup works on. Its paths are the machine's own; Path puts
// the root before them.
type Layout struct {
	Name       string          // for messages
	Root       string          // "/", except in tests
	Compute    system.Service  // nova-compute
	Program    string          // its script, whose first line names Nova's Python
	Python     []string        // that Python, where Program does not tell it
	User       string          // that nova-compute runs as: a name or a number
	Configs    []string        // files and directories that nova-compute reads, each before those that override it
	Arguments  []string        // of nova-compute, where its service does not tell them
	Config     string          // the file of these in which compute_driver is set; setup makes it where it is missing
	DeployTool *DeployToolFile // nil where no tool would overwrite Config
	Kolla      bool            // nova-compute runs in a container of Kolla's
	Glance     system.Service  // on a controller
	Dashboard  string          // the directory of Horizon's package openstack_dashboard.local; empty where there is no Horizon
	Web        system.Service  // what serves Horizon, if it is known
	Engine     Package         // Docker Engine
	Package    string          // the program of ndock's own package; empty where that is not installed
	AgentFile  string          // the program of ndock's agent, as setup installs it where there is no package
	Runtime    string          // the program that Docker Engine is to call for servers
	AgentConf  string          // the operator's file for it
}

// DeployToolFile is the file of a deployment tool's from which it writes Nova's configuration at each run.
type DeployToolFile struct {
	Path    string
	Section string // under which it has Nova's sections; empty where it has nothing else
	Tool    string // its name
}

// Package is a package of the distribution's.
type Package struct {
	Name    string
	Install []string // the command that installs it
	Refresh []string // the command that updates the lists of packages; none where Install does so
	Service system.Service
}

// HasEngine tells whether dockerd is installed, from whichever package.
func (l Layout) HasEngine() bool { return l.Exists("/usr/sbin/dockerd", "/usr/bin/dockerd") }

// Exists tells whether one of the paths is there.
func (l Layout) Exists(paths ...string) bool { return exists(l.Root, paths...) }

func exists(root string, paths ...string) bool {
	return slices.ContainsFunc(paths, func(path string) bool { _, err := os.Stat(filepath.Join(root, path)); return err == nil })
}

// Path returns one of the machine's paths under the root.
func (l Layout) Path(path string) string { return filepath.Join(l.Root, path) }

// Host returns the name by which Nova knows this machine: `host` in its configuration, else the machine's own.
func (l Layout) Host() (string, error) {
	host, found, err := l.option("host")
	if err != nil || found {
		return host, err
	}
	return os.Hostname()
}

// option returns an option of [DEFAULT].
func (l Layout) option(name string) (value string, found bool, err error) {
	now, err := l.Setting("DEFAULT", name)
	return now.Value, now.File != "", err
}

// Setting returns an option, by the files of the layout alone.
func (l Layout) Setting(section, name string) (oslo.Setting, error) {
	files, err := l.ConfigFiles()
	now := oslo.Setting{DropInsWin: len(l.Configs) > 0 && slices.Contains(dropIns, l.Configs[len(l.Configs)-1])}
	for _, path := range files {
		conf, err := ReadConf(path)
		if err != nil {
			return now, err
		}
		value, found, err := conf.Get(section, name)
		if err != nil {
			return now, err
		}
		now.Files = append(now.Files, l.Cut(path))
		if found {
			now.Value, now.File = value, l.Cut(path)
		}
	}
	return now, err
}

// Cut takes the root from the front of a path: it is what Path returned.
func (l Layout) Cut(path string) string {
	return filepath.Join("/", strings.TrimPrefix(path, filepath.Clean(l.Root)))
}

// ConfigFiles returns the files that nova-compute reads and that exist, each before those that override it.
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

// CheckFiles returns an error where one of them cannot be read as a configuration.
func (l Layout) CheckFiles() error {
	files, err := l.ConfigFiles()
	for _, path := range files {
		if _, err := ReadConf(path); err != nil {
			return err
		}
	}
	return err
}

// ReadConf reads a configuration file. The error is fs.ErrNotExist where there is none.
func ReadConf(path string) (*oslo.Conf, error) {
	content, err := system.ReadFile(path)
	if err != nil {
		return nil, system.FileError("read", path, err)
	}
	return oslo.Parse(path, content)
}

// InstancesDir returns the directory in which Nova's other drivers have the files of servers.
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
