package devices

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"
	"github.com/opencontainers/runtime-spec/specs-go"
	"tags.cncf.io/container-device-interface/pkg/cdi"

	"ndock/docker/ociruntime"
)

// hookTimeout is how long a hook of a specification may take at most, in seconds: less than the agent waits for a start.
const hookTimeout = 45

// Prepare writes what a container that is about to start is given, by the specifications as they are now. Where one of its
// devices is gone, the container is not to start.
func (d *Devices) Prepare(uuid, container string) error {
	d.lock.Lock()
	defer d.lock.Unlock()
	file := filepath.Join(d.root, uuid, ociruntime.InjectionFile)
	if err := removeFile(file); err != nil { // what it had is not what it is to have, if this fails
		return err
	}
	all, err := d.bind(uuid, container)
	if err != nil {
		return err
	}
	own := of(all, container)
	if own == nil {
		return nil
	}
	specs := readSpecs(d.dirs)
	if err := d.renew(specs, uuid, own); err != nil {
		return err
	}
	if err := d.write(uuid, all); err != nil {
		return err
	}
	added, err := specs.inject(own.names())
	if err != nil {
		return err
	}
	text, err := json.Marshal(ociruntime.Injection{Container: container, Config: added})
	if err != nil {
		return err
	}
	return renameio.WriteFile(file, text, 0o600, renameio.WithTempDir(filepath.Dir(file)))
}

// renew sets the nodes that a container's devices have today. It refuses a device that is gone, one that is another server's, as
// when the specifications give them other names, and one that the container has by another name, too.
func (d *Devices) renew(specs *catalog, uuid string, own *held) error {
	others, _ := d.servers() // what of another cannot be read does not keep this one from starting: it gets what it had
	delete(others, uuid)
	var used, before []string
	for _, some := range others {
		used = append(used, d.uses(specs, some)...)
	}
	for _, devices := range own.Devices {
		for _, name := range slices.Sorted(maps.Keys(devices)) {
			one, found := specs.devices[name]
			switch {
			case !found:
				return fmt.Errorf("its device %s is in no CDI specification of %s that can be used: 'ndock node status' on the host says more", name, specs.dirs)
			case one.isOf(used):
				return fmt.Errorf("its device %s is another server's now, by the CDI specifications of %s", name, specs.dirs)
			case one.isOf(before):
				return fmt.Errorf("its device %s is another one of its own now, by the CDI specifications of %s", name, specs.dirs)
			}
			devices[name] = one.nodes
			before = append(before, one.nodes)
		}
	}
	own.Boot = d.boot
	return nil
}

// inject returns what a container gets with these devices, which are there, as an OCI configuration that has nothing else.
func (c *catalog) inject(names []string) (json.RawMessage, error) {
	edits := &cdi.ContainerEdits{}
	var of []*cdi.Spec
	for _, name := range names {
		one := c.devices[name]
		if spec := one.of.GetSpec(); !slices.Contains(of, spec) {
			of = append(of, spec)
			edits = edits.Append(specEditsOf(one.of))
		}
		edits = edits.Append(editsOf(one.of))
	}
	limit := hookTimeout
	for _, hook := range edits.Hooks { // they are of this reading of the specifications, and no one else's
		if hook.Timeout == nil || *hook.Timeout > limit {
			hook.Timeout = &limit
		}
	}
	config := specs.Spec{Process: &specs.Process{}, Linux: &specs.Linux{}}
	if err := edits.Apply(&config); err != nil {
		return nil, fmt.Errorf("give it its devices %v: %w", names, err)
	}
	if rules := config.Linux.Resources; rules != nil { // one without access is of "permissions: none", and runc refuses it
		rules.Devices = slices.DeleteFunc(rules.Devices, func(one specs.LinuxDeviceCgroup) bool { return one.Access == "" })
	}
	return json.Marshal(config)
}
