package openstack

import (
	"context"
	"fmt"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/external"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
)

// Network is a network of Neutron's.
type Network struct {
	ID       string
	Name     string
	Project  string // its owner's id
	Shared   bool   // with this project
	External bool
	Up       bool // by its status and by who administers it
	Subnets  int
	Physical string // network that it is on; empty where it is on none, or for who is no administrator
}

// Networks lists those that the user sees: an administrator sees everyone's.
func (c *Cloud) Networks(ctx context.Context) ([]Network, error) {
	client, err := c.neutron()
	if err != nil {
		return nil, err
	}
	pages, err := networks.List(client, networks.ListOpts{}).AllPages(ctx)
	if err != nil {
		return nil, explain("list networks", err)
	}
	type PhysicalExt struct {
		Physical string `json:"provider:physical_network"`
	}
	var found []struct {
		networks.Network
		external.NetworkExternalExt
		PhysicalExt
	}
	if err := networks.ExtractNetworksInto(pages, &found); err != nil {
		return nil, explain("list networks", err)
	}
	all := make([]Network, len(found))
	for i, n := range found {
		all[i] = Network{
			ID: n.ID, Name: n.Name, Project: n.TenantID, Shared: n.Shared, External: n.External,
			Up: n.AdminStateUp && n.Status == "ACTIVE", Subnets: len(n.Subnets), Physical: n.Physical,
		}
	}
	return all, nil
}

// bootNetworks finds the networks of the ports. Where none is named, there must be no choice.
func (c *Cloud) bootNetworks(ctx context.Context, names []string) ([]servers.Network, error) {
	client, err := c.neutron()
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return onlyNetwork(ctx, client)
	}
	var chosen []servers.Network
	for _, name := range names {
		found, err := network(ctx, client, name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, servers.Network{UUID: found.ID})
	}
	return chosen, nil
}

func network(ctx context.Context, client *gophercloud.ServiceClient, nameOrID string) (networks.Network, error) {
	return lookup[networks.Network]{
		kind: "network",
		byID: func(ctx context.Context, id string) (networks.Network, error) {
			found, err := networks.Get(ctx, client, id).Extract()
			if err != nil {
				return networks.Network{}, err
			}
			return *found, nil
		},
		byName: func(ctx context.Context, name string) ([]networks.Network, error) {
			return listNetworks(ctx, client, networks.ListOpts{Name: name})
		},
		id: func(n networks.Network) string { return n.ID },
		names: namesIn(
			func(ctx context.Context) ([]networks.Network, error) {
				return listNetworks(ctx, client, networks.ListOpts{})
			},
			func(n networks.Network) string { return n.Name },
		),
	}.find(ctx, nameOrID)
}

func onlyNetwork(ctx context.Context, client *gophercloud.ServiceClient) ([]servers.Network, error) {
	all, err := listNetworks(ctx, client, networks.ListOpts{})
	if err != nil {
		return nil, explain("list networks", err)
	}
	if len(all) == 1 {
		return []servers.Network{{UUID: all[0].ID}}, nil
	}
	var names []string
	for _, found := range all {
		names = append(names, found.Name)
	}
	return nil, &Error{Op: "choose a network", Err: fmt.Errorf("there are %d: %s", len(all), strings.Join(names, ", ")), hint: "give --network NAME"}
}

func listNetworks(ctx context.Context, client *gophercloud.ServiceClient, options networks.ListOpts) ([]networks.Network, error) {
	pages, err := networks.List(client, options).AllPages(ctx)
	if err != nil {
		return nil, err
	}
	return networks.ExtractNetworks(pages)
}

// Agent is one of Neutron's, on some host.
type Agent struct {
	ID      string `json:"id"`
	Type    string `json:"agent_type"` // Linux bridge agent, OVN Controller agent, …
	Program string `json:"binary"`     // by which it is known on its host
	Host    string `json:"host"`
	Alive   bool   `json:"alive"`

	Configuration map[string]any `json:"configurations"`
}

// Physical returns the bridges or interfaces of its host that lead to physical networks, by the networks' names; nil where the agent
// does not tell.
func (a Agent) Physical() map[string]string {
	var all map[string]string
	for _, key := range []string{"bridge_mappings", "interface_mappings"} { // of Open vSwitch and Linux bridges
		if told, ok := a.Configuration[key].(map[string]any); ok {
			if all == nil {
				all = map[string]string{}
			}
			for name, device := range told {
				all[name] = fmt.Sprint(device)
			}
		}
	}
	if told, ok := a.Configuration["bridge-mappings"].(string); ok { // of OVN
		all = map[string]string{}
		for one := range strings.SplitSeq(told, ",") {
			if name, bridge, found := strings.Cut(strings.TrimSpace(one), ":"); found {
				all[name] = bridge
			}
		}
	}
	return all
}

// Agents lists Neutron's agents. Who is no administrator is told of none. gophercloud's own reading of them fails on
// those of OVN, whose times are written in another way.
func (c *Cloud) Agents(ctx context.Context) ([]Agent, error) {
	client, err := c.neutron()
	if err != nil {
		return nil, err
	}
	var found struct{ Agents []Agent }
	_, err = client.Get(ctx, client.ServiceURL("agents"), &found, nil)
	if err != nil {
		return nil, explain("list Neutron's agents", err)
	}
	return found.Agents, nil
}

// Addresses is how many a network has in its subnets, and how many of them are in use: of IPv4 by 4, of IPv6 by 6. They may
// be more than an integer holds.
type Addresses map[int]struct{ Total, Used float64 }

// Addresses tells them by the networks' ids. Who is no administrator is told of none.
func (c *Cloud) Addresses(ctx context.Context) (map[string]Addresses, error) {
	client, err := c.neutron()
	if err != nil {
		return nil, err
	}
	var found struct {
		Networks []struct {
			ID      string `json:"network_id"`
			Subnets []struct {
				Version int     `json:"ip_version"`
				Total   float64 `json:"total_ips"`
				Used    float64 `json:"used_ips"`
			} `json:"subnet_ip_availability"`
		} `json:"network_ip_availabilities"`
	}
	if _, err = client.Get(ctx, client.ServiceURL("network-ip-availabilities"), &found, nil); err != nil {
		return nil, explain("list the networks' free addresses", err)
	}
	all := map[string]Addresses{}
	for _, network := range found.Networks {
		all[network.ID] = Addresses{}
		for _, subnet := range network.Subnets {
			sum := all[network.ID][subnet.Version]
			sum.Total, sum.Used = sum.Total+subnet.Total, sum.Used+subnet.Used
			all[network.ID][subnet.Version] = sum
		}
	}
	return all, nil
}

// Full tells whether a port gets no address of some version there.
func (a Addresses) Full() bool {
	for _, sum := range a {
		if sum.Used >= sum.Total {
			return true
		}
	}
	return false
}
