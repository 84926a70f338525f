package doctor

import (
	"context"
	"fmt"

	"ndock/openstack"
)

// networks is the check that the project has a network to plug servers into.
func networks(ctx context.Context, x *examination) Finding {
	all, err := x.cloud.Networks(ctx)
	if err != nil {
		return unanswered(err)
	}
	var usable, down, bare []openstack.Network
	for _, network := range all {
		switch {
		case !x.mayUse(network):
		case !network.Up:
			down = append(down, network)
		case network.Subnets == 0:
			bare = append(bare, network)
		default:
			usable = append(usable, network)
		}
	}
	x.networks = usable
	return pluggable(usable, down, bare)
}

// mayUse is false of external networks, to which Nova lets only administrators attach, unless they are shared.
func (x *examination) mayUse(network openstack.Network) bool {
	return network.Shared || network.Project == x.session.ProjectID && !network.External
}

func pluggable(usable, down, bare []openstack.Network) Finding {
	const subnet = "openstack subnet create --network %s --subnet-range 10.0.0.0/24 private"
	switch {
	case len(usable) == 1:
		return well("the project may use one: %s", usable[0].Name)
	case len(usable) > 1:
		return well("the project may use %d, so that a boot must name one: %s", len(usable), networkNames(usable))
	case len(bare) > 0:
		return broken(fmt.Sprintf(subnet, word(bare[0].ID)), "the project's networks have no subnet: %s", networkNames(bare))
	case len(down) > 0:
		return broken("openstack network set --enable "+word(down[0].ID), "the project's networks are down: %s", networkNames(down))
	}
	return broken("openstack network create private && "+fmt.Sprintf(subnet, "private"), "there is no network that the project may use")
}

func networkNames(all []openstack.Network) string {
	var names []string
	for _, network := range all {
		names = append(names, network.Name)
	}
	return openstack.Abbreviate(names)
}
