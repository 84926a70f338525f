package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ndock/openstack/novadriver"
)

// Layout is where a distribution has what the steps work on. Paths are the machine's own; Path puts the root
// before them.
type Layout struct {
	Root       string  // "/", but in tests
	Compute    Service // nova-compute
	Program    string  // its script, whose first line names Nova's Python
	Config     string  // where compute_driver is set; may be missing, then it is made
	MainConfig string  // nova.conf, which is read before Config
	Engine     Package // Docker Engine
	AgentFile  string  // where ndock's agent is run from
	AgentConf  string  // the operator's file for it
}

// Package is software that the distribution brings.
type Package struct {
	Name    string
	Install []string // the command
	Program string   // there once it is installed
	Service Service
}

// debian is how the packages of Debian and Ubuntu lay Nova out.
func debian(root string) Layout {
	return Layout{
		Root:       root,
		Compute:    Service{Name: "nova-compute", PIDFile: "/run/nova/nova-compute.pid", Log: "/var/log/nova/nova-compute.log"},
		Program:    "/usr/bin/nova-compute",
		Config:     "/etc/nova/nova-compute.conf",
		MainConfig: "/etc/nova/nova.conf",
		Engine: Package{
			Name: "docker.io", Install: []string{"apt-get", "install", "-y", "-q", "docker.io"}, Program: "/usr/sbin/dockerd",
			Service: Service{Name: "docker", PIDFile: "/run/docker.pid", Log: "/var/log/docker.log"},
		},
		AgentFile: "/usr/local/bin/ndock",
		AgentConf: "/etc/ndock/agent.yaml",
	}
}

// Find looks at what is installed under root, and returns how it is laid out.
func Find(root string) (Layout, error) {
	l := debian(root)
	for _, needed := range []string{l.Program, l.MainConfig} {
		_, err := os.Stat(l.Path(needed))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return l, advise(fmt.Errorf("this is no compute node: %s is not there", l.Path(needed)), "install Nova's compute service first (Debian's package nova-compute)")
		case err != nil:
			return l, fileError("read", l.Path(needed), err)
		}
	}
	return l, nil
}

// Path is where one of the machine's paths is seen from here.
func (l Layout) Path(path string) string { return filepath.Join(l.Root, path) }

// Host is the name that Nova knows this machine by: `host` in its configuration, else the machine's own.
func (l Layout) Host() (string, error) {
	for _, path := range []string{l.Config, l.MainConfig} {
		conf, err := readConf(l.Path(path))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if host, found, err := conf.Get("DEFAULT", "host"); err != nil || found {
			return host, err
		}
	}
	return os.Hostname()
}

func readConf(path string) (*novadriver.Conf, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fileError("read", path, err)
	}
	return novadriver.ParseConf(path, content)
}
