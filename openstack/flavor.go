package openstack

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
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

// hostTrait is what the hosts of ndock's have in Placement, and offTrait what those have that are disabled.
const hostTrait, offTrait = "CUSTOM_NDOCK", "COMPUTE_STATUS_DISABLED"

// demand is the flavor as a question to Placement, as Nova's scheduler puts it: resources of the flavor's own, and those and
// the traits of its extra specs (resources:PGPU=1, trait:CUSTOM_FAST=required), which may be in groups (resources1:PGPU=1).
func (f Flavor) demand() url.Values {
	resources := map[string]map[string]string{"": f.sizes()}
	required := map[string][]string{"": {hostTrait, "!" + offTrait}}
	for key, value := range f.Specs {
		name, what, _ := strings.Cut(key, ":")
		if group, found := strings.CutPrefix(name, "resources"); found {
			if resources[group] == nil {
				resources[group] = map[string]string{}
			}
			resources[group][what] = value
		} else if group, found := strings.CutPrefix(name, "trait"); found {
			required[group] = append(required[group], map[string]string{"forbidden": "!"}[value]+what)
		}
	}
	query := url.Values{"limit": {"1"}}
	if len(resources) > 1 {
		query.Set("group_policy", cmp.Or(f.Specs["group_policy"], "none"))
	}
	for group, classes := range resources {
		if amounts := amounts(classes); amounts != "" {
			query.Set("resources"+group, amounts)
		}
	}
	for group, traits := range required {
		slices.Sort(traits)
		query.Set("required"+group, strings.Join(traits, ","))
	}
	return query
}

// sizes are the resources that the flavor has without extra specs, but for hw:cpu_policy.
func (f Flavor) sizes() map[string]string {
	processors := "VCPU"
	if f.Specs["hw:cpu_policy"] == "dedicated" {
		processors = "PCPU"
	}
	return map[string]string{processors: strconv.Itoa(f.VCPUs), "MEMORY_MB": strconv.Itoa(f.RAM), "DISK_GB": strconv.Itoa(f.Disk)}
}

// amounts leaves out what there is none of: resources:VCPU=0 takes back what the flavor says.
func amounts(classes map[string]string) string {
	var all []string
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		if classes[class] != "0" {
			all = append(all, class+":"+classes[class])
		}
	}
	return strings.Join(all, ",")
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
