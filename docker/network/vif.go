package network

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
)

// VIF is a port as Nova has it from Neutron, as far as it matters here: nova.network.model.VIF as JSON.
type VIF struct {
	ID      string `json:"id"`
	Address string `json:"address"` // MAC
	Type    string `json:"type"`    // how Neutron wants it plugged: "bridge", "ovs", …
	Network struct {
		Bridge  string   `json:"bridge"`
		Meta    vifMeta  `json:"meta"`
		Subnets []subnet `json:"subnets"`
	} `json:"network"`
}

type vifMeta struct {
	MTU int `json:"mtu"`
}

type subnet struct {
	CIDR    netip.Prefix `json:"cidr"`
	Gateway address      `json:"gateway"`
	DNS     []address    `json:"dns"`
	IPs     []address    `json:"ips"`
	Routes  []struct {
		CIDR    netip.Prefix `json:"cidr"`
		Gateway address      `json:"gateway"`
	} `json:"routes"`
}

// address is an IP in Nova's wrapping; it is invalid where Nova has null.
type address struct{ netip.Addr }

func (a *address) UnmarshalJSON(raw []byte) error {
	var wrapped struct {
		Address *string `json:"address"`
	}
	if err := json.Unmarshal(raw, &wrapped); err != nil || wrapped.Address == nil || *wrapped.Address == "" {
		return err
	}
	var err error
	a.Addr, err = netip.ParseAddr(*wrapped.Address)
	return err
}

// A Port is all that plugging a container in needs to know. It is kept in the options of the Docker network that
// stands for the port, so that it outlives the agent.
type Port struct {
	ID      string       `json:"id"`
	MAC     string       `json:"mac"`
	MTU     int          `json:"mtu,omitempty"`
	Bridge  string       `json:"bridge"`
	IPv4    netip.Prefix `json:"ipv4,omitzero"`
	IPv6    netip.Prefix `json:"ipv6,omitzero"`
	Gateway netip.Addr   `json:"gateway,omitzero"`
	// GatewayIPv6 is the default route of the other family.
	GatewayIPv6 netip.Addr   `json:"gateway_ipv6,omitzero"`
	Routes      []Route      `json:"routes,omitempty"`
	DNS         []netip.Addr `json:"dns,omitempty"`
	// Extra is set by the agent: see Settle.
	Extra Extra `json:"extra,omitzero"`
}

// A Route is one of the subnet's host routes.
type Route struct {
	To  netip.Prefix `json:"to"`
	Via netip.Addr   `json:"via"`
}

// Port checks what Nova says and keeps what is needed. A way of plugging that is not known is an error here,
// before anything is created.
func (v VIF) Port() (Port, error) {
	if v.Type != "bridge" {
		return Port{}, fmt.Errorf("port %s is bound as %q, and only %q (ML2/linuxbridge) can be plugged", v.ID, v.Type, "bridge")
	}
	if len(v.ID) < idInName || v.Network.Bridge == "" || len(v.Network.Bridge) > maxName {
		return Port{}, fmt.Errorf("port %q has no id or no bridge that a link can be named after", v.ID)
	}
	if _, err := net.ParseMAC(v.Address); err != nil {
		return Port{}, fmt.Errorf("port %s: %w", v.ID, err)
	}
	port := Port{ID: v.ID, MAC: v.Address, MTU: v.Network.Meta.MTU, Bridge: v.Network.Bridge}
	for _, subnet := range v.Network.Subnets {
		if err := port.add(subnet); err != nil {
			return Port{}, err
		}
	}
	return port, nil
}

// add takes over a subnet: all addresses, routes and resolvers, and the first gateway of each family.
func (p *Port) add(s subnet) error {
	for _, ip := range s.IPs {
		prefix := netip.PrefixFrom(ip.Addr, s.CIDR.Bits())
		switch {
		case !ip.IsValid():
		case !prefix.IsValid():
			return fmt.Errorf("port %s: address %s is none of its subnet %s", p.ID, ip, s.CIDR)
		case ip.Is4() && !p.IPv4.IsValid():
			p.IPv4 = prefix
		case ip.Is6() && !p.IPv6.IsValid():
			p.IPv6 = prefix
		default:
			p.Extra.Addresses = append(p.Extra.Addresses, prefix)
		}
	}
	switch {
	case s.Gateway.Is4() && !p.Gateway.IsValid():
		p.Gateway = s.Gateway.Addr
	case s.Gateway.Is6() && !p.GatewayIPv6.IsValid():
		p.GatewayIPv6 = s.Gateway.Addr
	}
	for _, route := range s.Routes {
		if route.CIDR.IsValid() && route.Gateway.IsValid() {
			p.Routes = append(p.Routes, Route{To: route.CIDR, Via: route.Gateway.Addr})
		}
	}
	for _, dns := range s.DNS {
		if dns.IsValid() {
			p.DNS = append(p.DNS, dns.Addr)
		}
	}
	return nil
}

// A link's name has 15 characters at most (IFNAMSIZ); Neutron's agents know a port by the first 11 of its id.
const (
	maxName  = 15
	idInName = 11
)

// Tap is the host's end of the port's cable: the name that Neutron's agents look for.
func (p Port) Tap() string { return "tap" + p.ID[:idInName] }

// peer is the end that goes into the container.
func (p Port) peer() string { return "ndk" + p.ID[:idInName] }
