package openstack

import (
	"context"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/hypervisors"
)

// Hypervisor is a compute node as Nova sees it.
type Hypervisor struct {
	ID          string
	Hostname    string
	ServiceHost string
	Type        string // docker, QEMU, …
	State       string // up or down
	Status      string // enabled or disabled
}

// Hypervisors lists the compute nodes; administrators may.
func (c *Cloud) Hypervisors(ctx context.Context) ([]Hypervisor, error) {
	client, err := c.nova()
	if err != nil {
		return nil, err
	}
	client.Microversion = "2.88" // before that Nova asks each host how long it runs, and waits for one that does not answer
	pages, err := hypervisors.List(client, hypervisors.ListOpts{}).AllPages(ctx)
	if err != nil {
		return nil, explain("list hypervisors", err)
	}
	found, err := hypervisors.ExtractHypervisors(pages)
	if err != nil {
		return nil, explain("list hypervisors", err)
	}
	all := make([]Hypervisor, len(found))
	for i, h := range found {
		all[i] = Hypervisor{
			ID: h.ID, Hostname: h.HypervisorHostname, ServiceHost: h.Service.Host, Type: h.HypervisorType,
			State: h.State, Status: h.Status,
		}
	}
	return all, nil
}
