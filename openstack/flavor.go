package openstack

import (
	"context"
	"slices"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
)

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
			pages, err := flavors.ListDetail(client, flavors.ListOpts{}).AllPages(ctx)
			if err != nil {
				return nil, err
			}
			all, err := flavors.ExtractFlavors(pages)
			return slices.DeleteFunc(all, func(f flavors.Flavor) bool { return f.Name != name }), err
		},
		id: func(f flavors.Flavor) string { return f.ID },
	}.find(ctx, nameOrID)
	return found.ID, err
}
