// Package network gives containers Neutron's ports. A port is a veth pair. The host's end is plugged where Neutron wants it,
// and stays there as long as the server has the port. The other end, the peer, is moved into the container at each start,
// configured as Neutron says, before the first process runs, and back when that has ended.
package network

import (
	"fmt"
	"net/netip"
	"slices"
)

// A Port is one of Neutron's, as far as plugging it needs to know.
type Port struct {
	ID       string   `json:"id"`
	MAC      string   `json:"mac"`
	MTU      int      `json:"mtu,omitempty"`
	Kind     Kind     `json:"kind,omitempty"`
	Bridge   string   `json:"bridge"`           // that the host's end is to be in, at last
	Server   string   `json:"server,omitempty"` // the id of the Nova server that has it
	Subnets  []Subnet `json:"subnets,omitempty"`
	Index    int      `json:"index"`              // of its interface in the container: 0 is eth0
	Tagged   bool     `json:"tagged,omitempty"`   // Neutron's agent gives it the VLAN tag of its network
	Physical bool     `json:"physical,omitempty"` // its network is a physical one of the host's
	Unwired  bool     `json:"unwired,omitempty"`  // Neutron has not filtered it yet: no container gets it
	Dir      string   `json:"-"`                  // where it is recorded
}

// wired returns the ports that containers may have.
func wired(ports []Port) []Port {
	return slices.DeleteFunc(slices.Clone(ports), func(port Port) bool { return port.Unwired })
}

// Kind is what the host's end is plugged into.
type Kind string

// The kinds.
const (
	LinuxBridge Kind = ""       // Neutron's bridge for the network
	OpenVSwitch Kind = "ovs"    // a bridge of Open vSwitch's
	Hybrid      Kind = "hybrid" // a Linux bridge of the port's own, for iptables to filter in, and from there Open vSwitch
)

// A Subnet is one that the port has addresses in. Gateway is invalid where it has none.
type Subnet struct {
	Addresses []netip.Prefix `json:"addresses"`
	Gateway   netip.Addr     `json:"gateway,omitzero"`
	Routes    []Route        `json:"routes,omitempty"`
	DNS       []netip.Addr   `json:"dns,omitempty"`
}

// A Route goes to a neighbour where Via is invalid.
type Route struct {
	To  netip.Prefix `json:"to"`
	Via netip.Addr   `json:"via,omitzero"`
}

// A link's name has 15 characters at most (IFNAMSIZ); Neutron's agents know a port by the first 11 of its id.
const (
	maxName  = 15
	idInName = 11
)

// Tap is the name of the host's end, by which Neutron's agents find it.
func (p Port) Tap() string { return "tap" + p.ID[:idInName] }

// peer is the name of the other end while it is in no container.
func (p Port) peer() string { return "ndk" + p.ID[:idInName] }

// The links between the port's own bridge and Open vSwitch, named as Nova always did: Neutron's agent looks for them.
func (p Port) ownBridge() string  { return "qbr" + p.ID[:idInName] }
func (p Port) bridgeEnd() string  { return "qvb" + p.ID[:idInName] }
func (p Port) vswitchEnd() string { return "qvo" + p.ID[:idInName] }

// Interface is the other end's name in a container.
func (p Port) Interface() string { return fmt.Sprintf("eth%d", p.Index) }
