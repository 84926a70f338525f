package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// RunC is the runtime that is there without being named: the one that Docker Engine itself would use.
const RunC = "runc"

// A Runtime is a program that runs servers' containers in runc's place.
type Runtime struct {
	Path string   `yaml:"path"`
	Args []string `yaml:"args"` // before those of Docker Engine
}

// runtimeName matches the names of runtimes: each is a part of a trait's name, too.
var runtimeName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// IsRuntimeName tells whether a runtime may be called so.
func IsRuntimeName(name string) bool { return runtimeName.MatchString(name) }

// runtimeArgs is the most arguments of a runtime.
const runtimeArgs = 64

// withoutCgroups matches the arguments, with zeros in between, by which gVisor and crun leave a container's cgroup alone.
var withoutCgroups = regexp.MustCompile(`(^|\x00)--?(ignore-cgroups|cgroup-manager[=\x00]disabled)(=|\x00|$)`)

// checkRuntimes refuses what could not be a runtime. Whether the programs are there is asked when a server is to start: an
// agent without one of them is still one for all other servers.
func (c *Config) checkRuntimes() error {
	for _, name := range slices.Sorted(maps.Keys(c.Runtimes)) {
		runtime := c.Runtimes[name]
		switch {
		case !IsRuntimeName(name):
			return fmt.Errorf("runtimes: %q is no name: small letters, digits and underscores, 32 at most, the first a letter", name)
		case name == RunC:
			return fmt.Errorf("runtimes: %s is the one that Docker Engine uses, and needs no mention: give another program another name", name)
		case !filepath.IsAbs(runtime.Path) || filepath.Clean(runtime.Path) != runtime.Path:
			return fmt.Errorf("runtimes: %s: %q is no whole path of a program", name, runtime.Path)
		case len(runtime.Args) > runtimeArgs || slices.ContainsFunc(runtime.Args, func(arg string) bool { return strings.ContainsRune(arg, 0) }):
			return fmt.Errorf("runtimes: %s: more than %d arguments, or an argument that no program could be given", name, runtimeArgs)
		case withoutCgroups.MatchString(strings.Join(runtime.Args, "\x00")):
			return fmt.Errorf("runtimes: %s: by %q servers would run outside their cgroups, and without limits: remove that", name, runtime.Args)
		}
	}
	if _, found := c.Runtimes[c.Runtime]; !found && c.Runtime != RunC {
		return fmt.Errorf("runtime: %q is not one of runtimes", c.Runtime)
	}
	return nil
}
