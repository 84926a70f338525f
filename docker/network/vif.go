package network

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"

	"ndock/docker/agent"
)

// portIDPattern is what Neutron calls a port.
var portIDPattern = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// PortOf checks what Nova says of a port and keeps what is needed. It returns an error for a way of plugging that is not
// known, before anything is created. bridges are those that the operator allows beside Neutron's own: whoever has become nova must not reach
// other bridges of this host.
func PortOf(v agent.VIF, bridges []string) (Port, error) {
	kind, err := kindOf(v)
	if err != nil {
		return Port{}, err
	}
	if !portIDPattern.MatchString(v.ID) {
		return Port{}, fmt.Errorf("%q is no port's id", v.ID)
	}
	port := Port{ID: v.ID, MAC: v.Address, MTU: v.Network.Meta.MTU, Kind: kind, Bridge: v.Network.Bridge, Tagged: tagged(v)}
	port.Physical = kind == LinuxBridge && v.Network.Meta.Physical != ""
	if port.Subnets, err = subnets(v); err == nil {
		err = errors.Join(checkBridge(kind, v.Network.Bridge, bridges), checkMAC(v.Address), checkMTU(port.MTU))
	}
	if err != nil {
		return Port{}, fmt.Errorf("port %s: %w", v.ID, err)
	}
	return port, nil
}

// tagged tells whether Neutron's own agent for Open vSwitch wires the port. It is false where Neutron does not name its
// drivers.
func tagged(v agent.VIF) bool {
	return v.Type == "ovs" && slices.Contains(slices.Collect(maps.Values(v.Details.Drivers)), "openvswitch")
}

// brq matches the bridges that Neutron's agent makes, one for each network.
var brq = regexp.MustCompile(`^brq[0-9a-f]{8}-[0-9a-f]{2}$`)

func checkBridge(kind Kind, name string, allowed []string) error {
	switch {
	case slices.Contains(allowed, name):
		return nil
	case kind == LinuxBridge && brq.MatchString(name), kind != LinuxBridge && name == "br-int":
		return nil
	}
	return fmt.Errorf("it is not plugged into %q: brq… and br-int are Neutron's bridges; the operator can allow more (bridges in agent.yaml)", name)
}

func checkMAC(text string) error {
	mac, err := net.ParseMAC(text)
	if err == nil && (len(mac) != 6 || mac[0]&1 != 0) {
		err = fmt.Errorf("%s is no address of an Ethernet interface", text)
	}
	return err
}

// checkMTU takes 0 for none.
func checkMTU(mtu int) error {
	if mtu != 0 && (mtu < 68 || mtu > 65535) {
		return fmt.Errorf("%d is no MTU", mtu)
	}
	return nil
}

// The most that a port may have, far beyond what Neutron's quotas allow.
const (
	maxSubnets   = 64
	maxOfASubnet = 1024 // addresses, resolvers and routes, each
)

func subnets(v agent.VIF) ([]Subnet, error) {
	if len(v.Network.Subnets) > maxSubnets {
		return nil, fmt.Errorf("it has %d subnets, and %d are the most", len(v.Network.Subnets), maxSubnets)
	}
	var made []Subnet
	for _, nova := range v.Network.Subnets {
		if most := max(len(nova.IPs), len(nova.DNS), len(nova.Routes)); most > maxOfASubnet {
			return nil, fmt.Errorf("subnet %s has %d addresses, resolvers or routes, and %d are the most", nova.CIDR, most, maxOfASubnet)
		}
		subnet, err := subnetOf(nova)
		if err != nil {
			return nil, err
		}
		made = append(made, subnet)
	}
	return made, nil
}

// kindOf returns how the port is plugged, or an error where that is not supported.
func kindOf(v agent.VIF) (Kind, error) {
	switch {
	case v.Type == "bridge":
		return LinuxBridge, nil
	case v.Type == "ovs" && v.Details.Hybrid:
		return Hybrid, nil
	case v.Type == "ovs":
		return OpenVSwitch, nil
	}
	return "", fmt.Errorf("port %s is bound as %q, and only \"bridge\" (linuxbridge) and \"ovs\" (Open vSwitch, OVN) can be plugged", v.ID, v.Type)
}

func subnetOf(s agent.VIFSubnet) (Subnet, error) {
	made := Subnet{Gateway: s.Gateway.Addr, DNS: resolvers(s)}
	for _, ip := range s.IPs {
		prefix := netip.PrefixFrom(ip.Addr, s.CIDR.Bits())
		switch {
		case !ip.IsValid():
		case !prefix.IsValid() || ip.Is4() != s.CIDR.Addr().Is4():
			return Subnet{}, fmt.Errorf("address %s is none of its subnet %s", ip, s.CIDR)
		default:
			made.Addresses = append(made.Addresses, prefix)
		}
	}
	for _, route := range s.Routes {
		switch {
		case !route.CIDR.IsValid() || !route.Gateway.IsValid():
		case route.Gateway.IsUnspecified(): // the network's own neighbours
			made.Routes = append(made.Routes, Route{To: route.CIDR})
		default:
			made.Routes = append(made.Routes, Route{To: route.CIDR, Via: route.Gateway.Addr})
		}
	}
	return made, nil
}

// resolvers returns the subnet's own, or, where it names none, its DHCP server, as that would tell its clients. 0.0.0.0 and ::
// are Neutron's way to say none at all; to a C library they would be this machine.
func resolvers(s agent.VIFSubnet) []netip.Addr {
	var all []netip.Addr
	none := false
	for _, dns := range s.DNS {
		if none = none || dns.IsUnspecified(); dns.IsValid() && !dns.IsUnspecified() {
			all = append(all, dns.Addr)
		}
	}
	if len(all) == 0 && !none && s.Meta.DHCPServer.IsValid() {
		all = append(all, s.Meta.DHCPServer.Addr)
	}
	return all
}
