package doctor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ndock/openstack"
)

// mappings is the check that the hosts of type docker are plugged into the physical networks of those that the project may
// use. Where one is not, Neutron binds no port, and Nova does not say so.
func mappings(_ context.Context, x *examination) Finding {
	var lacking []string
	fix := ""
	for _, agent := range x.wiring() {
		physical := agent.Physical()
		for _, network := range x.networks {
			if _, has := physical[network.Physical]; network.Physical == "" || has {
				continue
			}
			lacking = append(lacking, fmt.Sprintf("%s on %s lacks %s of network %s", agent.Type, agent.Host, network.Physical, network.Name))
			fix = cmp.Or(fix, mapping(agent, physical, network.Physical))
		}
	}
	if len(lacking) == 0 {
		return well("hosts of type docker have the physical networks of those that the project may use")
	}
	return doubtful(fix, "ports cannot be wired where a physical network is missing: %s", openstack.Abbreviate(lacking))
}

// wiring are the agents that wire ports on hosts of type docker, and tell what physical networks they have.
func (x *examination) wiring() []openstack.Agent {
	return kept(x.agents, func(agent openstack.Agent) bool {
		here := slices.ContainsFunc(x.dockerHosts(), func(host openstack.Hypervisor) bool { return host.ServiceHost == agent.Host })
		return here && wires(agent) && agent.Physical() != nil
	})
}

// mapping is run on the agent's host, with the bridge or interface that leads to the physical network.
func mapping(agent openstack.Agent, physical map[string]string, missing string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(physical)) {
		all = append(all, name+":"+physical[name])
	}
	set := func(file, section, option, device string) string {
		value := strings.Join(append(all, missing+":"+device), ",")
		return fmt.Sprintf("crudini --set /etc/neutron/plugins/ml2/%s %s %s %s && %s", file, section, option, word(value), restart(agent))
	}
	switch agent.Type {
	case "Open vSwitch agent":
		return set("openvswitch_agent.ini", "ovs", "bridge_mappings", "BRIDGE")
	case "Linux bridge agent":
		return set("linuxbridge_agent.ini", "linux_bridge", "physical_interface_mappings", "INTERFACE")
	}
	return "ovs-vsctl set Open_vSwitch . " + word("external_ids:ovn-bridge-mappings="+strings.Join(append(all, missing+":BRIDGE"), ","))
}
