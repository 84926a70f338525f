// Package devices gives devices of this host to servers. Specifications of the Container Device Interface (CDI) say which there
// are, the operator which resource class of Placement each kind of them is, and Nova's allocation how many a server gets. Which
// server has which is recorded in the servers' directories. No tenant has any influence on it.
package devices

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"ndock/docker/agent"
)

// Devices are those of this host.
type Devices struct {
	root  string            // has the servers' directories
	sys   string            // where the kernel describes the machine
	dirs  []string          // of specifications
	kinds map[string]string // by resource class
	boot  string            // this one of the host
	lock  sync.Mutex        // is held from the look at all records to the write of one
}

// New returns the devices of the specifications in dirs. The servers' directories are in root.
func New(root string, dirs []string, kinds map[string]string) *Devices {
	return &Devices{root: root, sys: sysfs, dirs: dirs, kinds: kinds, boot: thisBoot()}
}

// Take picks devices for a container of the server that is about to be made: so many of each resource class. It prefers those
// that the server had, and then those on the NUMA nodes that the server is to stay on, if there are such nodes. Those of its
// backup, a container's id or empty, it leaves alone.
func (d *Devices) Take(uuid string, asked map[string]int, numa []int, backup string) error {
	d.lock.Lock()
	defer d.lock.Unlock()
	own, err := d.read(uuid)
	if err != nil {
		return err
	}
	kept, had := split(own, backup)
	asked = maps.Clone(asked)
	maps.DeleteFunc(asked, func(_ string, n int) bool { return n < 1 })
	if err := d.checkMapped(asked); err != nil {
		return err
	}
	if len(asked) == 0 {
		return d.rewrite(uuid, own, kept)
	}
	all, failed := d.servers()
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("no device is given to a server while it is not known what the others have: %w", err)
	}
	all[uuid] = kept
	picked, err := d.pick(asked, numa, had, all)
	if err != nil {
		return err
	}
	return d.write(uuid, append(kept, held{Boot: d.boot, Devices: picked}))
}

// split returns what the container of this id has, and what the others had.
func split(all []held, container string) (kept, others []held) {
	for _, one := range all {
		if one.Container == container && container != "" {
			kept = append(kept, one)
		} else {
			others = append(others, one)
		}
	}
	return kept, others
}

// checkMapped refuses a class that the operator does not map, or does no longer: the server would be made without its devices.
func (d *Devices) checkMapped(asked map[string]int) error {
	for _, class := range slices.Sorted(maps.Keys(asked)) {
		if d.kinds[class] == "" {
			return fmt.Errorf("the server is to have devices of class %s, and devices: in this host's agent.yaml names none", class)
		}
	}
	return nil
}

// pick chooses devices that no server has, first of those that this one had, then of those that are near it.
func (d *Devices) pick(asked map[string]int, numa []int, had []held, all map[string][]held) (map[string]map[string]string, error) {
	specs := readSpecs(d.dirs)
	free := d.free(specs, specs.classes(d.kinds), all)
	before := d.uses(specs, had)
	picked := map[string]map[string]string{}
	for class, n := range asked {
		there := free[class]
		if len(there) < n {
			return nil, fmt.Errorf("the server is to have %d devices of class %s (%s), and this host has %d that no server has", n, class, d.kinds[class], len(there))
		}
		far := map[string]int{} // the kernel is asked once for each
		for _, one := range there {
			far[one.name] = d.distance(one, numa)
		}
		slices.SortStableFunc(there, func(a, b device) int {
			return cmp.Or(rank(a.isOf(before))-rank(b.isOf(before)), far[a.name]-far[b.name])
		})
		picked[class] = map[string]string{}
		for _, one := range there[:n] {
			picked[class][one.name] = one.nodes
		}
	}
	return picked, nil
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

// free returns which of the devices of each resource class no server has.
func (d *Devices) free(specs *catalog, there map[string][]device, all map[string][]held) map[string][]device {
	var used []string
	for _, some := range all {
		used = append(used, d.uses(specs, some)...)
	}
	free := map[string][]device{}
	for class, devices := range there {
		free[class] = slices.DeleteFunc(slices.Clone(devices), func(one device) bool { return one.isOf(used) })
	}
	return free
}

// uses returns the nodes of what containers have: those that go by its names today, and those that they were given since the host
// booted. A container that runs keeps these, whatever the specifications have come to say.
func (d *Devices) uses(specs *catalog, some []held) []string {
	var used []string
	for _, one := range some {
		for _, devices := range one.Devices {
			for name, given := range devices {
				used = append(used, specs.nodes(name))
				if one.Boot == d.boot {
					used = append(used, given)
				}
			}
		}
	}
	return used
}

// Share gives a container of the server that is about to be made the devices of its backup, as a rescue needs them: of the two
// one runs.
func (d *Devices) Share(uuid, backup string) error {
	d.lock.Lock()
	defer d.lock.Unlock()
	all, err := d.bind(uuid, backup) // if the agent was killed before it did
	if err != nil || len(all) == 0 {
		return err
	}
	kept, _ := split(all, backup)
	if len(kept) == 0 {
		return d.write(uuid, nil)
	}
	return d.write(uuid, append(kept, held{Boot: kept[0].Boot, Devices: kept[0].Devices}))
}

// Bind records which container was made for what was taken last.
func (d *Devices) Bind(uuid, container string) error {
	d.lock.Lock()
	defer d.lock.Unlock()
	_, err := d.bind(uuid, container)
	return err
}

// bind is Bind for a caller that holds the lock. It does nothing for a container that has its devices. It returns what the
// server has.
func (d *Devices) bind(uuid, container string) ([]held, error) {
	all, err := d.read(uuid)
	if err != nil {
		return nil, err
	}
	if own, _ := split(all, container); len(own) > 0 {
		return all, nil
	}
	for i := range all {
		if all[i].Container == "" {
			all[i].Container = container
			return all, d.write(uuid, all)
		}
	}
	return all, nil
}

// Keep has the server keep the devices of this container of its, and no others.
func (d *Devices) Keep(uuid, container string) error {
	d.lock.Lock()
	defer d.lock.Unlock()
	all, err := d.read(uuid)
	if err != nil {
		return err
	}
	kept, _ := split(all, container)
	return d.rewrite(uuid, all, kept)
}

// rewrite is write where something changes.
func (d *Devices) rewrite(uuid string, before, after []held) error {
	if len(before) == len(after) {
		return nil
	}
	return d.write(uuid, after)
}

// Of returns the names of the devices that a server's container has.
func (d *Devices) Of(uuid, container string) ([]string, error) {
	all, err := d.read(uuid)
	return append([]string{}, namesOf(all, container)...), err
}

// namesOf returns the names of what a container has.
func namesOf(all []held, container string) []string {
	if one := of(all, container); one != nil {
		return one.names()
	}
	return nil
}

// of returns what a container has. What was taken and never bound, for the agent was killed then, is the last container's.
func of(all []held, container string) *held {
	var unbound *held
	for i := range all {
		switch all[i].Container {
		case container:
			return &all[i]
		case "":
			unbound = &all[i]
		}
	}
	return unbound
}

// Report returns the devices of this host by resource class, and what servers go without, a sentence each.
func (d *Devices) Report() ([]agent.DeviceClass, []string) {
	all, failed := d.servers()
	if len(failed)+len(all)+len(d.kinds) == 0 {
		return nil, nil
	}
	specs := readSpecs(d.dirs)
	for _, err := range failed {
		specs.lack("no device is given to a server while it is not known what all have: %v", err)
	}
	there := specs.classes(d.kinds)
	total := map[string]int{}
	for class, free := range d.free(specs, there, all) {
		total[class] = len(free)
	}
	for _, class := range slices.Sorted(maps.Keys(d.kinds)) {
		if len(there[class]) == 0 {
			specs.lack("no CDI specification of %s has a device of kind %s, which agent.yaml maps to %s", specs.dirs, d.kinds[class], class)
		}
	}
	// Those that servers have count, be they gone: Placement could not take back what it has sold.
	for _, uuid := range slices.Sorted(maps.Keys(all)) {
		for class, names := range byClass(all[uuid]) {
			total[class] += len(names)
		}
		specs.lackGone(uuid, all[uuid])
	}
	var classes []agent.DeviceClass
	for _, class := range slices.Sorted(maps.Keys(total)) {
		if total[class] > 0 {
			classes = append(classes, agent.DeviceClass{Class: class, Kind: d.kinds[class], Total: total[class]})
		}
	}
	return classes, specs.lacks
}

// byClass returns the names of what a server has, in its container and in its backup, by resource class.
func byClass(all []held) map[string]map[string]string {
	names := map[string]map[string]string{}
	for _, one := range all {
		for class, some := range one.Devices {
			if names[class] == nil {
				names[class] = map[string]string{}
			}
			maps.Copy(names[class], some)
		}
	}
	return names
}

// lackGone says which devices of a server are in no specification any more.
func (c *catalog) lackGone(uuid string, all []held) {
	var gone []string
	for _, one := range all {
		for _, name := range one.names() {
			if _, found := c.devices[name]; !found {
				gone = append(gone, name)
			}
		}
	}
	if slices.Sort(gone); len(gone) > 0 {
		c.lack("server %s does not start without %s, which no CDI specification of %s has any more", uuid, strings.Join(slices.Compact(gone), ", "), c.dirs)
	}
}
