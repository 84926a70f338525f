package devices

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"tags.cncf.io/container-device-interface/pkg/cdi"
)

// SpecDirs returns where CDI specifications are. A later directory goes before an earlier one.
func SpecDirs() []string { return []string{"/etc/cdi", "/var/run/cdi"} }

// The most that is read of specifications. Nvidia's for eight cards has some 300 KB.
const (
	maxSpecs    = 256 // of a directory
	maxSpecSize = 8 << 20
)

// allDevices is the name by which generators of specifications give all devices of a kind at once.
const allDevices = "all"

// device is a device that can be given to a server.
type device struct {
	name  string // qualified, as nvidia.com/gpu=0
	kind  string
	nodes string // what it is on this host, sorted: two names with the same nodes are one device
	of    *cdi.Device
}

// catalog is what the specifications of this host say.
type catalog struct {
	devices map[string]device // by name; some may be the same device
	lacks   []string          // what of the specifications is not used, a sentence each
	dirs    string            // where they are, for messages
}

// readSpecs reads the specifications as they are now. What cannot be used is left out, with the reason.
func readSpecs(dirs []string) *catalog {
	c := &catalog{devices: map[string]device{}, dirs: strings.Join(dirs, " and ")}
	found := map[string]*cdi.Device{}
	for priority, dir := range dirs {
		paths, err := specsIn(dir)
		if err != nil {
			c.lack("the CDI specifications of %s are not used: %v", dir, err)
		}
		maps.Copy(found, c.readDir(paths, priority)) // this directory goes before those of before
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		one, err := usable(name, found[name])
		if err != nil {
			c.lack("device %s is not used: %v", name, err)
			continue
		}
		c.devices[name] = one
	}
	return c
}

func (c *catalog) lack(format string, args ...any) {
	c.lacks = append(c.lacks, fmt.Sprintf(format, args...))
}

// specsIn returns the paths of a directory's specifications. One that others than root could write to has none: their hooks
// are run as root.
func specsIn(dir string) ([]string, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = checkRoots(dir, info)
	}
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, entry := range entries {
		if ext := filepath.Ext(entry.Name()); ext == ".json" || ext == ".yaml" {
			paths = append(paths, filepath.Join(dir, entry.Name()))
		}
	}
	if len(paths) > maxSpecs {
		return nil, fmt.Errorf("it has %d, and ndock reads %d at most", len(paths), maxSpecs)
	}
	return paths, nil
}

// checkRoots refuses what others than root could have written.
func checkRoots(path string, info fs.FileInfo) error {
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || owner.Uid != 0:
		return fmt.Errorf("%s is not root's: chown root %[1]s", path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s can be written to by others than root: chmod go-w %[1]s", path)
	}
	return nil
}

// readDir returns the devices of a directory's specifications. Of two with one name it returns none.
func (c *catalog) readDir(paths []string, priority int) map[string]*cdi.Device {
	found := map[string]*cdi.Device{}
	twice := map[string]bool{}
	for _, path := range paths {
		spec, err := readSpec(path, priority)
		if err != nil {
			c.lack("CDI specification %s is not used: %v", path, err)
			continue
		}
		for _, said := range spec.Devices {
			one := spec.GetDevice(said.Name)
			name := one.GetQualifiedName()
			if other := found[name]; other != nil {
				c.lack("device %s is not used: %s and %s both have it", name, other.GetSpec().GetPath(), path)
				twice[name] = true
			}
			if said.Name != allDevices {
				found[name] = one
			}
		}
	}
	maps.DeleteFunc(found, func(name string, _ *cdi.Device) bool { return twice[name] })
	return found
}

func readSpec(path string, priority int) (*cdi.Spec, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no file")
	}
	if info.Size() > maxSpecSize {
		return nil, fmt.Errorf("it has %d bytes, and ndock reads %d at most", info.Size(), maxSpecSize)
	}
	if err := checkRoots(path, info); err != nil {
		return nil, err
	}
	return cdi.ReadSpec(path, priority)
}

// usable returns a device that could be given to a server now.
func usable(name string, of *cdi.Device) (device, error) {
	for _, edits := range []*cdi.ContainerEdits{editsOf(of), specEditsOf(of)} {
		if len(edits.NetDevices) > 0 || edits.IntelRdt != nil {
			return device{}, errors.New("it has netDevices or intelRdt, which ndock does not give to servers")
		}
	}
	config := specs.Spec{Process: &specs.Process{}, Linux: &specs.Linux{}}
	if err := editsOf(of).Apply(&config); err != nil {
		return device{}, err
	}
	one := device{name: name, kind: of.GetSpec().Kind, nodes: nodesOf(config.Linux.Devices), of: of}
	if one.nodes == "" {
		one.nodes = name
	}
	return one, specEditsOf(of).Apply(&config)
}

func editsOf(of *cdi.Device) *cdi.ContainerEdits {
	return &cdi.ContainerEdits{ContainerEdits: &of.ContainerEdits}
}

// specEditsOf returns what each container gets that has a device of the same specification.
func specEditsOf(of *cdi.Device) *cdi.ContainerEdits {
	return &cdi.ContainerEdits{ContainerEdits: &of.GetSpec().ContainerEdits}
}

func nodesOf(all []specs.LinuxDevice) string {
	var nodes []string
	for _, node := range all {
		if node.Type == "p" { // a FIFO, which has no number
			continue
		}
		if node.Type == "u" { // another word for it
			node.Type = "c"
		}
		nodes = append(nodes, fmt.Sprintf("%s%d:%d", node.Type, node.Major, node.Minor))
	}
	slices.Sort(nodes)
	return strings.Join(slices.Compact(nodes), " ")
}

// nodes returns what a device is on this host; for one that is in no specification its name.
func (c *catalog) nodes(name string) string {
	if one, found := c.devices[name]; found {
		return one.nodes
	}
	return name
}

// isOf tells whether a device is one of these, a part of one, or has one as its part.
func (d device) isOf(all []string) bool {
	return slices.ContainsFunc(all, func(nodes string) bool { return includes(d.nodes, nodes) || includes(nodes, d.nodes) })
}

// includes tells whether all of some nodes are among others.
func includes(nodes, some string) bool {
	all := strings.Fields(nodes)
	return !slices.ContainsFunc(strings.Fields(some), func(node string) bool { return !slices.Contains(all, node) })
}

// classes returns the devices of each resource class, each device once: of its names the longest, which a serial number or UUID
// makes so. An index is another device's when one is taken out.
func (c *catalog) classes(kinds map[string]string) map[string][]device {
	classes := map[string]string{} // by kind
	for class, kind := range kinds {
		classes[kind] = class
	}
	all := slices.SortedFunc(maps.Values(c.devices), func(a, b device) int {
		return cmp.Or(cmp.Compare(classes[a.kind], classes[b.kind]), cmp.Compare(len(b.name), len(a.name)), cmp.Compare(a.name, b.name))
	})
	all = slices.DeleteFunc(all, func(one device) bool { return classes[one.kind] == "" })
	seen := map[string]bool{}
	byClass := map[string][]device{}
	for _, one := range all {
		if !c.combines(one, all) && !seen[one.nodes] {
			seen[one.nodes] = true
			byClass[classes[one.kind]] = append(byClass[classes[one.kind]], one)
		}
	}
	return byClass
}

// combines tells whether a device has all nodes of another one and more: both would be with two servers.
func (c *catalog) combines(one device, all []device) bool {
	for _, other := range all {
		if one.nodes != other.nodes && includes(one.nodes, other.nodes) {
			c.lack("device %s is not used: it has the device nodes of %s and more, so that one device would be with two servers", one.name, other.name)
			return true
		}
	}
	return false
}
