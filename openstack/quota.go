package openstack

import (
	"context"
	"net/http"

	"github.com/gophercloud/gophercloud/v2"
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

// ImageQuota asks Glance for how many MiB of images the project may have, and has. It is nil where Glance does not tell, or has
// no such quota: one of its own (user_storage_quota), which is the same for all projects, it tells nobody.
func (c *Cloud) ImageQuota(ctx context.Context) (*Quota, error) {
	client, err := c.glance()
	if err != nil {
		return nil, err
	}
	var found struct {
		Usage map[string]struct{ Limit, Usage int }
	}
	_, err = client.Get(ctx, client.ServiceURL("info", "usage"), &found, nil)
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) { // before Glance 23
		return nil, nil
	}
	if err != nil {
		return nil, explain("look at Glance's quota", err)
	}
	size, has := found.Usage["image_size_total"]
	if !has {
		return nil, nil
	}
	return &Quota{size.Limit, size.Usage}, nil
}
