package doctor

import (
	"context"
	"fmt"
	"slices"

	"ndock/openstack"
)

// addresses is the check that the project's networks have addresses for more ports.
func addresses(ctx context.Context, x *examination) Finding {
	all, err := x.cloud.Addresses(ctx)
	switch {
	case openstack.Refused(err), err == nil && len(all) == 0 && !slices.Contains(x.session.Roles, administrator):
		return unknown("only an administrator sees how many addresses are free")
	case absent(err):
		return unknown("this Neutron does not tell how many addresses are free")
	case err != nil:
		return unanswered(err)
	}
	full := kept(x.networks, func(network openstack.Network) bool { return all[network.ID].Full() })
	if len(full) == 0 {
		return well("each network that the project may use has free addresses")
	}
	fix := fmt.Sprintf("openstack subnet create --network %s --subnet-range RANGE NAME", word(full[0].ID))
	if len(full) == len(x.networks) {
		return broken(fix, "the networks that the project may use have no free addresses: %s", networkNames(full))
	}
	return doubtful(fix, "networks without free addresses: %s", networkNames(full))
}
