package doctor

import (
	"context"
	"slices"
	"strings"

	"ndock/openstack"
)

// discover maps new hosts to their cells. It is run where Nova's database is configured.
const discover = "nova-manage cell_v2 discover_hosts --by-service"

// cells is the check that hosts are mapped to a cell. Nova's scheduler may choose another one, and the boot fails. Such a host
// has a nova-compute, and is no hypervisor.
func cells(ctx context.Context, x *examination) Finding {
	services, err := x.cloud.ComputeServices(ctx)
	switch {
	case openstack.Refused(err):
		return unknown("only an administrator may list compute services")
	case err != nil:
		return unanswered(err)
	}
	switch err := x.askHypervisors(ctx); {
	case openstack.Refused(err):
		return unknown("only an administrator may list hypervisors")
	case err != nil:
		return unanswered(err)
	}
	x.services = services
	hosts := x.unmapped()
	switch {
	case len(hosts) == 0:
		return well("each host whose nova-compute is up is mapped to a cell")
	case len(x.dockerHosts()) > 0:
		return doubtful(discover, "nova-compute runs on %s, which no cell has, or which has told Nova of no node yet", openstack.Abbreviate(hosts))
	}
	return broken(discover, "nova-compute runs on %s, which no cell has, or which has told Nova of no node yet", openstack.Abbreviate(hosts))
}

// unmapped are the hosts that no cell has, as far as one may see them.
func (x *examination) unmapped() []string {
	var hosts []string
	for _, service := range x.services {
		known := slices.ContainsFunc(x.hypervisors, func(one openstack.Hypervisor) bool { return one.ServiceHost == service.Host })
		if service.Up && !known {
			hosts = append(hosts, service.Host)
		}
	}
	return hosts
}

// whyDown is the reason that a host's nova-compute gives for being disabled; ndock's says so when Docker Engine is away.
func (x *examination) whyDown(host openstack.Hypervisor) string {
	for _, service := range x.services {
		if service.Host == host.ServiceHost && service.Reason != "" {
			return " (" + strings.TrimPrefix(service.Reason, "AUTO: ndock: ") + ")"
		}
	}
	return ""
}
