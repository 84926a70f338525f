package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
)

// Ports are a server's ports in the order of its interfaces (PUT and DELETE /v1/instances/UUID/ports).
type Ports []VIF

// MaxPorts is the most that a server may have.
const MaxPorts = 1024

// UnmarshalJSON implements json.Unmarshaler. It takes no more than MaxPorts into memory.
func (p *Ports) UnmarshalJSON(text []byte) error {
	all := json.NewDecoder(bytes.NewReader(text))
	begin, err := all.Token()
	if err != nil || begin == nil {
		return err
	}
	if begin != json.Delim('[') {
		return errors.New("the ports are no list")
	}
	for *p = nil; all.More(); {
		if len(*p) == MaxPorts {
			return fmt.Errorf("a server has %d ports at most", MaxPorts)
		}
		var one VIF
		if err := all.Decode(&one); err != nil {
			return err
		}
		*p = append(*p, one)
	}
	return nil
}

// VIF is a port as Nova has it from Neutron, as far as it matters here: nova.network.model.VIF as JSON.
type VIF struct {
	ID      string `json:"id"`
	Address string `json:"address"` // MAC
	Type    string `json:"type"`    // how Neutron wants it plugged: "bridge", "ovs", …
	Details struct {
		Hybrid  bool              `json:"ovs_hybrid_plug"`
		Drivers map[string]string `json:"bound_drivers"` // ML2's mechanism drivers, by level; newer Neutrons name them
	} `json:"details"`
	Active  *bool `json:"active"` // whether Neutron has wired it, as far as Nova knows
	Network struct {
		Bridge  string      `json:"bridge"`
		Meta    VIFMeta     `json:"meta"`
		Subnets []VIFSubnet `json:"subnets"`
	} `json:"network"`
}

// VIFMeta is what Neutron says of a port's network.
type VIFMeta struct {
	MTU      int    `json:"mtu"`
	Physical string `json:"physical_network"` // where it has one
}

// VIFSubnet is a subnet that the port has addresses in.
type VIFSubnet struct {
	CIDR    netip.Prefix `json:"cidr"`
	Gateway Address      `json:"gateway"`
	DNS     []Address    `json:"dns"`
	IPs     []Address    `json:"ips"`
	Meta    struct {
		DHCPServer OptionalAddr `json:"dhcp_server"`
	} `json:"meta"`
	Routes []struct {
		CIDR    netip.Prefix `json:"cidr"`
		Gateway Address      `json:"gateway"`
	} `json:"routes"`
}

// Address is an IP as Nova wraps it; it is invalid where Nova has null.
type Address struct{ netip.Addr }

func (a *Address) UnmarshalJSON(raw []byte) error {
	var wrapped struct {
		Address OptionalAddr `json:"address"`
	}
	err := json.Unmarshal(raw, &wrapped)
	a.Addr = wrapped.Address.Addr
	return err
}

// OptionalAddr is an IP, or null or "" for none.
type OptionalAddr struct{ netip.Addr }

func (a *OptionalAddr) UnmarshalJSON(raw []byte) error {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil || text == nil || *text == "" {
		return err
	}
	var err error
	a.Addr, err = netip.ParseAddr(*text)
	if err == nil && a.Zone() != "" { // which could be any text, and would end up in resolv.conf
		err = fmt.Errorf("the address %q names an interface", *text)
	}
	return err
}

// Wired tells whether Neutron has wired the port. It is true where Nova does not know.
func (v VIF) Wired() bool { return v.Active == nil || *v.Active }
