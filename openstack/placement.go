package openstack

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/hypervisors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/services"
	"github.com/gophercloud/gophercloud/v2/openstack/placement/v1/resourceproviders"
)

func (c *Cloud) placement() (*gophercloud.ServiceClient, error) {
	client, err := openstack.NewPlacementV1(c.provider, c.endpoint)
	if err != nil {
		return nil, c.noEndpoint("find Placement in the catalogue", err)
	}
	client.Microversion = "1.6" // the first with traits
	return client, nil
}

// Holders are those who hold resources of a hypervisor's, by their ids: servers, and migrations that are neither confirmed
// nor reverted. Administrators may ask.
func (c *Cloud) Holders(ctx context.Context, hypervisor string) ([]string, error) {
	client, err := c.placement()
	if err != nil {
		return nil, err
	}
	found, err := resourceproviders.GetAllocations(ctx, client, hypervisor).Extract()
	switch {
	case gophercloud.ResponseCodeIs(err, http.StatusNotFound):
		return nil, unknown(ctx, client, hypervisor)
	case err != nil:
		return nil, explain("list the allocations of "+hypervisor, err)
	}
	return slices.Sorted(maps.Keys(found.Allocations)), nil
}

// unknown makes sure that it is Placement that does not know a hypervisor, because Nova has not told it yet. What else is at
// its address does not know any either, and no list of them.
func unknown(ctx context.Context, client *gophercloud.ServiceClient, hypervisor string) error {
	_, err := resourceproviders.List(client, resourceproviders.ListOpts{UUID: hypervisor}).AllPages(ctx)
	if err != nil {
		return explain("look for "+hypervisor+" in Placement", err)
	}
	return nil
}

// Traits returns those of a hypervisor. Administrators may ask.
func (c *Cloud) Traits(ctx context.Context, hypervisor string) ([]string, error) {
	client, err := c.placement()
	if err != nil {
		return nil, err
	}
	found, err := resourceproviders.GetTraits(ctx, client, hypervisor).Extract()
	if err != nil {
		return nil, explain("list the traits of "+hypervisor, err)
	}
	return found.Traits, nil
}

// RemoveTraits takes traits from a hypervisor, and returns those that it had. A star at the end of one stands for any text.
func (c *Cloud) RemoveTraits(ctx context.Context, hypervisor string, traits []string) ([]string, error) {
	client, err := c.placement()
	if err != nil {
		return nil, err
	}
	const tries = 5 // nova-compute may be at it too
	for range tries {
		var removed []string
		removed, err = removeTraits(ctx, client, hypervisor, traits)
		if !gophercloud.ResponseCodeIs(err, http.StatusConflict) {
			return removed, err
		}
	}
	return nil, err
}

func removeTraits(ctx context.Context, client *gophercloud.ServiceClient, hypervisor string, traits []string) ([]string, error) {
	found, err := resourceproviders.GetTraits(ctx, client, hypervisor).Extract()
	switch {
	case gophercloud.ResponseCodeIs(err, http.StatusNotFound): // Nova has not told Placement of it: it has none
		return nil, nil
	case err != nil:
		return nil, explain("list the traits of "+hypervisor, err)
	}
	var removed []string
	others := slices.DeleteFunc(found.Traits, func(trait string) bool {
		if !slices.ContainsFunc(traits, func(pattern string) bool { matched, err := path.Match(pattern, trait); return matched && err == nil }) {
			return false
		}
		removed = append(removed, trait)
		return true
	})
	if len(removed) == 0 {
		return nil, nil
	}
	_, err = resourceproviders.UpdateTraits(ctx, client, hypervisor, resourceproviders.UpdateTraitsOpts{
		ResourceProviderGeneration: found.ResourceProviderGeneration, Traits: others,
	}).Extract()
	if err != nil {
		return nil, explain("remove traits of "+hypervisor, err)
	}
	return removed, nil
}

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

// ComputeService is a nova-compute.
type ComputeService struct {
	Host   string
	Up     bool
	Reason string // why it is disabled; empty where it is not, or nobody said
}

// ComputeServices lists those of all cells; administrators may. A host that is mapped to no cell has one, and no hypervisor.
func (c *Cloud) ComputeServices(ctx context.Context) ([]ComputeService, error) {
	client, err := c.nova()
	if err != nil {
		return nil, err
	}
	pages, err := services.List(client, services.ListOpts{Binary: "nova-compute"}).AllPages(ctx)
	if err != nil {
		return nil, explain("list compute services", err)
	}
	found, err := services.ExtractServices(pages)
	if err != nil {
		return nil, explain("list compute services", err)
	}
	all := make([]ComputeService, len(found))
	for i, one := range found {
		all[i] = ComputeService{Host: one.Host, Up: one.State == "up", Reason: one.DisabledReason}
	}
	return all, nil
}

// hostTrait is what the hosts of ndock's have in Placement, and offTrait what those have that are disabled.
const hostTrait, offTrait = "CUSTOM_NDOCK", "COMPUTE_STATUS_DISABLED"

// demand is the flavor as a question to Placement, as Nova's scheduler puts it: resources of the flavor's own, and those and
// the traits of its extra specs (resources:PGPU=1, trait:CUSTOM_FAST=required), which may be in groups (resources1:PGPU=1).
func (f Flavor) demand() url.Values {
	resources := map[string]map[string]string{"": f.sizes()}
	required := map[string][]string{"": {hostTrait, "!" + offTrait}}
	for key, value := range f.Specs {
		if group, class, found := asksFor(key, "resources"); found {
			if resources[group] == nil {
				resources[group] = map[string]string{}
			}
			resources[group][class] = value
		}
		if group, trait, found := asksFor(key, "trait"); found {
			required[group] = append(required[group], map[string]string{"forbidden": "!"}[value]+trait)
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

// Fits tells whether Placement has a host of ndock's for a server of the flavor, which is what Nova's scheduler asks it first.
// Administrators may ask.
func (c *Cloud) Fits(ctx context.Context, flavor Flavor) (bool, error) {
	client, err := c.placement()
	if err != nil {
		return false, err
	}
	client.Microversion = "1.36" // the first in which the groups of resources of a flavor have names
	var found struct {
		Requests []struct{} `json:"allocation_requests"`
	}
	_, err = client.Get(ctx, client.ServiceURL("allocation_candidates")+"?"+flavor.demand().Encode(), &found, nil)
	switch {
	case gophercloud.ResponseCodeIs(err, http.StatusBadRequest) && strings.Contains(err.Error(), "No such "):
		return false, nil // trait, or class of resources: no host has what there is none of
	case err != nil:
		return false, explain("look for hosts for flavor "+flavor.Name, err)
	}
	return len(found.Requests) > 0, nil
}
