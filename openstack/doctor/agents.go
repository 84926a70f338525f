package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ndock/openstack"
)

// agents is the check that those who wire ports are alive: an agent on each host of type docker above all.
func agents(ctx context.Context, x *examination) Finding {
	all, err := x.cloud.Agents(ctx)
	switch {
	case openstack.Refused(err), err == nil && len(all) == 0 && !slices.Contains(x.session.Roles, administrator):
		return unknown("only an administrator sees Neutron's agents")
	case absent(err):
		return unknown("this Neutron has no agents that it tells of")
	case err != nil:
		return unanswered(err)
	}
	x.agents = all
	if finding := x.unwired(all); finding.State != OK {
		return finding
	}
	if len(all) == 0 {
		return unknown("Neutron tells of no agent")
	}
	dead := kept(all, func(agent openstack.Agent) bool { return !agent.Alive })
	if len(dead) > 0 {
		return doubtful(restart(dead[0]), "dead: %s", agentNames(dead))
	}
	return well("all are alive: %d", len(all))
}

// unwired looks for hosts of type docker on which nobody wires ports.
func (x *examination) unwired(all []openstack.Agent) Finding {
	var missing []string
	fix := "openstack network agent list"
	for _, host := range x.dockerHosts() {
		here := kept(all, func(agent openstack.Agent) bool { return agent.Host == host.ServiceHost && wires(agent) })
		switch {
		case slices.ContainsFunc(here, func(agent openstack.Agent) bool { return agent.Alive }):
		case len(here) == 0:
			missing = append(missing, host.ServiceHost+" has none")
		default:
			missing, fix = append(missing, agentNames(here)+" is dead"), restart(here[0])
		}
	}
	if len(missing) == 0 {
		return well("each host of type docker has one that wires ports")
	}
	return broken(fix, "hosts of type docker need an agent that wires ports: %s", strings.Join(missing, "; "))
}

// wires tells Neutron's agents of layer 2 from those for DHCP, routers and metadata.
func wires(agent openstack.Agent) bool {
	return slices.Contains([]string{"Linux bridge agent", "Open vSwitch agent", "OVN Controller agent", "OVN Controller Gateway agent"}, agent.Type)
}

// restart is run on the agent's host.
func restart(agent openstack.Agent) string {
	return fmt.Sprintf("service %s restart", word(agent.Program))
}

func agentNames(all []openstack.Agent) string {
	var names []string
	for _, agent := range all {
		names = append(names, fmt.Sprintf("%s on %s", agent.Type, agent.Host))
	}
	return openstack.Abbreviate(names)
}
