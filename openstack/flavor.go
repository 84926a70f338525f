package openstack

import (
	"context"
	"slices"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
)

// Flavor is what a server may use.
type Flavor struct {
	ID    string
	Name  string
	VCPUs int
	RAM   int // in MiB
	Disk  int // in GiB
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
		all[i] = Flavor{ID: f.ID, Name: f.Name, VCPUs: f.VCPUs, RAM: f.RAM, Disk: f.Disk}
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
