package openstack

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/diagnostics"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
)

// Flavor is what a server may use.
type Flavor struct {
	ID    string
	Name  string
	VCPUs int
	RAM   int // in MiB
	Disk  int // in GiB, of all its disks
	Specs map[string]string
}

// Flavors lists those that the project may use.
func (c *Cloud) Flavors(ctx context.Context) ([]Flavor, error) {
	client, err := c.nova()
	if err != nil {
		return nil, err
	}
	found, err := listFlavors(ctx, client)
	if err != nil {
		return nil, explain("list flavors", err)
	}
	all := make([]Flavor, len(found))
	for i, f := range found {
		const mebibytes = 1024 // in a GiB
		disk := f.Disk + f.Ephemeral + (f.Swap+mebibytes-1)/mebibytes
		all[i] = Flavor{ID: f.ID, Name: f.Name, VCPUs: f.VCPUs, RAM: f.RAM, Disk: disk, Specs: f.ExtraSpecs}
	}
	return all, nil
}

func listFlavors(ctx context.Context, client *gophercloud.ServiceClient) ([]flavors.Flavor, error) {
	pages, err := flavors.ListDetail(client, flavors.ListOpts{}).AllPages(ctx)
	if err != nil {
		return nil, err
	}
	return flavors.ExtractFlavors(pages)
}

// flavor finds a flavor's id.
func (c *Cloud) flavor(ctx context.Context, nameOrID string) (string, error) {
	client, err := c.nova()
	if err != nil {
		return "", err
	}
	found, err := lookup[flavors.Flavor]{
		kind: "flavor",
		byID: func(ctx context.Context, id string) (flavors.Flavor, error) {
			found, err := flavors.Get(ctx, client, id).Extract()
			if err != nil {
				return flavors.Flavor{}, err
			}
			return *found, nil
		},
		byName: func(ctx context.Context, name string) ([]flavors.Flavor, error) {
			all, err := listFlavors(ctx, client)
			return slices.DeleteFunc(all, func(f flavors.Flavor) bool { return f.Name != name }), err
		},
		id:    func(f flavors.Flavor) string { return f.ID },
		names: namesIn(c.Flavors, func(f Flavor) string { return f.Name }),
	}.find(ctx, nameOrID)
	return found.ID, err
}

// ordinary are the resource classes that each server has, or that are no devices.
func ordinary() []string { return []string{"VCPU", "PCPU", "MEMORY_MB", "DISK_GB"} }

// asksFor reads the key of an extra spec that Placement looks at, of resources or of a trait: trait:CUSTOM_FAST, or trait1:CUSTOM_FAST
// of group 1.
func asksFor(key, kind string) (group, name string, found bool) {
	before, name, colon := strings.Cut(key, ":")
	group, found = strings.CutPrefix(before, kind)
	return group, name, found && colon
}

// classes returns the resource classes that a flavor asks for beyond the ordinary ones: resources:PGPU=1, resources1:PGPU=1.
func classes(specs map[string]any) []string {
	var all []string
	for key, value := range specs {
		if _, class, found := asksFor(key, "resources"); found && value != "0" && !slices.Contains(ordinary(), class) {
			all = append(all, class)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// diagnosticsTimeout is how long a host may take to say what a server has. Nova waits a minute for one that does not answer.
const diagnosticsTimeout = 10 * time.Second

// Devices returns the names of the devices of its host that a server has, for administrators. Nova has them in a server's
// diagnostics, of servers that run. Servers whose flavor asks for none, and those of others' hypervisors, have none.
func (c *Cloud) Devices(ctx context.Context, server Server) ([]string, error) {
	if server.Host == "" || len(server.classes) == 0 {
		return nil, nil
	}
	client, err := c.nova()
	if err != nil {
		return nil, err
	}
	client.Microversion = "2.1" // from 2.48 on they have only what Nova knows of
	limited, cancel := context.WithTimeout(ctx, diagnosticsTimeout)
	defer cancel()
	found, err := diagnostics.Get(limited, client, server.ID).Extract()
	switch {
	case gophercloud.ResponseCodeIs(err, http.StatusForbidden): // one who may see the host, and no more
		return nil, nil
	case err != nil:
		return nil, explain(fmt.Sprintf("devices of server %q", server.Name), err)
	}
	listed, _ := found["devices"].([]any)
	var names []string
	for _, one := range listed {
		if name, ok := one.(string); ok {
			names = append(names, name)
		}
	}
	return names, nil
}
