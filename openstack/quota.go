package openstack

import (
	"context"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/limits"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/quotas"
)

// Quota is how many of a thing a project may have, and has.
type Quota struct {
	Limit int // below 0 for as many as one likes
	Used  int
}

// Fits tells whether there is room for so many more.
func (q Quota) Fits(more int) bool { return q.Limit < 0 || q.Used+more <= q.Limit }

// ServerQuota is what a project may use for servers.
type ServerQuota struct {
	Instances Quota
	Cores     Quota
	RAM       Quota // in MiB
}

// ServerQuota asks Nova for the project's.
func (c *Cloud) ServerQuota(ctx context.Context) (ServerQuota, error) {
	client, err := c.nova()
	if err != nil {
		return ServerQuota{}, err
	}
	found, err := limits.Get(ctx, client, nil).Extract()
	if err != nil {
		return ServerQuota{}, explain("look at Nova's limits", err)
	}
	all := found.Absolute
	return ServerQuota{
		Instances: Quota{all.MaxTotalInstances, all.TotalInstancesUsed},
		Cores:     Quota{all.MaxTotalCores, all.TotalCoresUsed},
		RAM:       Quota{all.MaxTotalRAMSize, all.TotalRAMUsed},
	}, nil
}

// PortQuota asks Neutron for the project's.
func (c *Cloud) PortQuota(ctx context.Context) (Quota, error) {
	client, err := c.neutron()
	if err != nil {
		return Quota{}, err
	}
	found, err := quotas.GetDetail(ctx, client, c.project()).Extract()
	if err != nil {
		return Quota{}, explain("look at Neutron's quota", err)
	}
	return Quota{found.Port.Limit, found.Port.Used + found.Port.Reserved}, nil
}
