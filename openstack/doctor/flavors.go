package doctor

import (
	"cmp"
	"context"
	"slices"

	"ndock/openstack"
)

// flavors is the check that there is one at least.
func flavors(ctx context.Context, x *examination) Finding {
	all, err := x.cloud.Flavors(ctx)
	switch {
	case err != nil:
		return unanswered(err)
	case len(all) == 0:
		return broken("openstack flavor create --vcpus 1 --ram 512 --disk 5 m1.tiny", "there is no flavor; an administrator makes one")
	}
	slices.SortFunc(all, func(a, b openstack.Flavor) int {
		return cmp.Or(cmp.Compare(a.RAM, b.RAM), cmp.Compare(a.VCPUs, b.VCPUs), cmp.Compare(a.Disk, b.Disk), cmp.Compare(a.Name, b.Name))
	})
	x.flavors = all
	return well("there are %d, of which %s is the smallest: %d MiB of memory, %d GiB of disk, CPUs: %d", len(all), all[0].Name, all[0].RAM, all[0].Disk, all[0].VCPUs)
}
