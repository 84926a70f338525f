package doctor

import (
	"context"
	"fmt"
	"strings"

	"ndock/openstack"
)

// need is what one more server takes of a quota.
type need struct {
	name   string // in a sentence
	option string // of 'openstack quota set'
	quota  openstack.Quota
	amount int
}

// quota is the check that Nova has room for one more server of the smallest flavor.
func quota(ctx context.Context, x *examination) Finding {
	found, err := x.cloud.ServerQuota(ctx)
	if err != nil {
		return unanswered(err)
	}
	smallest := x.flavors[0]
	finding := x.left([]need{
		{"servers", "instances", found.Instances, 1},
		{"cores", "cores", found.Cores, smallest.VCPUs},
		{"MiB of memory", "ram", found.RAM, smallest.RAM},
	})
	if finding.State == OK {
		finding.Detail = fmt.Sprintf("there is room for a server of flavor %s", smallest.Name)
	}
	return finding
}

// ports is the check that Neutron has room for one more port.
func ports(ctx context.Context, x *examination) Finding {
	found, err := x.cloud.PortQuota(ctx)
	switch {
	case openstack.Refused(err), absent(err):
		return unknown("this Neutron does not tell its quota: %s", reason(err))
	case err != nil:
		return unanswered(err)
	}
	return x.left([]need{{"ports", "ports", found, 1}})
}

// left is an error where a quota does not leave what is needed.
func (x *examination) left(needs []need) Finding {
	var full, options []string
	for _, n := range needs {
		if !n.quota.Fits(n.amount) {
			full = append(full, fmt.Sprintf("%d of %d %s are used and %d more needed", n.quota.Used, n.quota.Limit, n.name, n.amount))
			options = append(options, fmt.Sprintf("--%s %d", n.option, n.quota.Used+n.amount))
		}
	}
	if len(full) == 0 {
		return well("there is room for one more")
	}
	return broken(fmt.Sprintf("openstack quota set %s %s", strings.Join(options, " "), word(x.session.ProjectID)),
		"%s; delete servers, or have an administrator raise the quota", strings.Join(full, "; "))
}
