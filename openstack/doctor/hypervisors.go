package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ndock/openstack"
)

// hypervisors is the check that there is a host for Docker images.
func hypervisors(ctx context.Context, x *examination) Finding {
	switch err := x.askHypervisors(ctx); {
	case openstack.Refused(err):
		return unknown("only an administrator may list hypervisors")
	case err != nil:
		return unanswered(err)
	}
	down := kept(x.hypervisors, func(one openstack.Hypervisor) bool { return isDocker(one) && one.State != "up" })
	disabled := kept(x.hypervisors, func(one openstack.Hypervisor) bool { return isDocker(one) && one.State == "up" && !isUp(one) })
	return x.hosts(down, disabled)
}

// askHypervisors asks for them, unless an earlier check has done so.
func (x *examination) askHypervisors(ctx context.Context) error {
	if x.hypervisors != nil {
		return nil
	}
	all, err := x.cloud.Hypervisors(ctx)
	if err != nil {
		return err
	}
	x.hypervisors = all
	return nil
}

// dockerHosts are the hypervisors of type docker that take servers.
func (x *examination) dockerHosts() []openstack.Hypervisor {
	return kept(x.hypervisors, func(one openstack.Hypervisor) bool { return isDocker(one) && isUp(one) })
}

// hosts is an error only where no host is left.
func (x *examination) hosts(down, disabled []openstack.Hypervisor) Finding {
	up, others := x.dockerHosts(), others(x.hypervisors)
	state := Failed
	if len(up) > 0 {
		state = Warning
	}
	switch {
	case len(down) > 0:
		return Finding{
			State: state, Fix: "ndock node status",
			Detail: fmt.Sprintf("of type docker are up: %s; down: %s%s, where the command says why", hostNames(up), hostNames(down), x.whyDown(down[0])),
		}
	case len(disabled) > 0:
		return Finding{
			State: state, Fix: fmt.Sprintf("openstack compute service set --enable %s nova-compute", word(disabled[0].ServiceHost)),
			Detail: fmt.Sprintf("of type docker are up: %s; disabled: %s", hostNames(up), hostNames(disabled)),
		}
	case len(up) == 0 && len(x.unmapped()) > 0:
		return broken(discover, "no hypervisor is of type docker%s; a host that no cell has may be one, see cells", others)
	case len(up) == 0:
		return broken("ndock node setup", "no hypervisor is of type docker%s; the command makes one of a compute node", others)
	}
	return well("of type docker are up: %s%s", hostNames(up), others)
}

func isDocker(one openstack.Hypervisor) bool { return strings.EqualFold(one.Type, "docker") }

func isUp(one openstack.Hypervisor) bool { return one.State == "up" && one.Status == "enabled" }

func hostNames(all []openstack.Hypervisor) string {
	if len(all) == 0 {
		return "none"
	}
	var names []string
	for _, one := range all {
		names = append(names, one.Hostname)
	}
	return openstack.Abbreviate(names)
}

// others counts the hypervisors of other types; empty where there are none.
func others(all []openstack.Hypervisor) string {
	counts := map[string]int{}
	for _, one := range all {
		if !isDocker(one) {
			counts[one.Type]++
		}
	}
	text := ""
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		text += fmt.Sprintf("; %d of type %s", counts[kind], kind)
	}
	return text
}
