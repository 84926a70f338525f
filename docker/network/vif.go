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
	Details struct {
		Hybrid bool `json:"ovs_hybrid_plug"`
	} `json:"details"`
	Network struct {
		Bridge  string      `json:"bridge"`
		Meta    vifMeta     `json:"meta"`
		Subnets []vifSubnet `json:"subnets"`
	} `json:"network"`
}

type vifMeta struct {
	MTU int `json:"mtu"`
}

type vifSubnet struct {
	CIDR    netip.Prefix `json:"cidr"`
	Gateway address      `json:"gateway"`
	DNS     []address    `json:"dns"`
	IPs     []address    `json:"ips"`
	Meta    struct {
		DHCPServer optionalAddr `json:"dhcp_server"`
	} `json:"meta"`
	Routes []struct {
		CIDR    netip.Prefix `json:"cidr"`
		Gateway address      `json:"gateway"`
	} `json:"routes"`
}

// address is an IP in Nova's wrapping; it is invalid where Nova has null.
type address struct{ netip.Addr }

func (a *address) UnmarshalJSON(raw []byte) error {
	var wrapped struct {
		Address optionalAddr `json:"address"`
	}
	err := json.Unmarshal(raw, &wrapped)
	a.Addr = wrapped.Address.Addr
	return err
}

// optionalAddr is an IP, or null or "" for none.
type optionalAddr struct{ netip.Addr }

func (a *optionalAddr) UnmarshalJSON(raw []byte) error {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil || text == nil || *text == "" {
		return err
	}
	var err error
	a.Addr, err = netip.ParseAddr(*text)
	return err
}

// Port checks what Nova says and keeps what is needed. A way of plugging that is not known is an error here,
// before anything is created.
func (v VIF) Port() (Port, error) {
	kind, err := v.Kind()
	if err != nil {
		return Port{}, err
	}
	if len(v.ID) < idInName || v.Network.Bridge == "" || len(v.Network.Bridge) > maxName {
		return Port{}, fmt.Errorf("port %q has no id or no bridge that a link can be named after", v.ID)
	}
	if _, err := net.ParseMAC(v.Address); err != nil {
		return Port{}, fmt.Errorf("port %s: %w", v.ID, err)
	}
	port := Port{ID: v.ID, MAC: v.Address, MTU: v.Network.Meta.MTU, Kind: kind, Bridge: v.Network.Bridge}
	for _, nova := range v.Network.Subnets {
		subnet, err := nova.subnet()
		if err != nil {
			return Port{}, fmt.Errorf("port %s: %w", v.ID, err)
		}
		port.Subnets = append(port.Subnets, subnet)
	}
	return port, nil
}

// Kind is how the port is plugged, or an error where that is not known here.
func (v VIF) Kind() (Kind, error) {
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

func (s vifSubnet) subnet() (Subnet, error) {
	made := Subnet{Gateway: s.Gateway.Addr, DNS: s.resolvers()}
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
		if route.CIDR.IsValid() && route.Gateway.IsValid() {
			made.Routes = append(made.Routes, Route{To: route.CIDR, Via: route.Gateway.Addr})
		}
	}
	return made, nil
}

// resolvers are the subnet's own, or, where it names none, the one that its DHCP server is to those who ask that.
func (s vifSubnet) resolvers() []netip.Addr {
	var all []netip.Addr
	for _, dns := range s.DNS {
		if dns.IsValid() {
			all = append(all, dns.Addr)
		}
	}
	if len(all) == 0 && s.Meta.DHCPServer.IsValid() {
		all = append(all, s.Meta.DHCPServer.Addr)
	}
	return all
}
