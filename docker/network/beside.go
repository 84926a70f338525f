package network

import (
	"net/netip"
	"slices"
)

// Beside returns the port as it is to be plugged into a container that has the earlier ones. What Docker would refuse
// then, it is not told: it moves into Extra. The default routes are the first port's that has any.
func (p Port) Beside(earlier []Port) Port {
	p.IPv4, p.Gateway = p.setApart(p.IPv4, p.Gateway, earlier)
	p.IPv6, p.GatewayIPv6 = p.setApart(p.IPv6, p.GatewayIPv6, earlier)
	if !p.Gateway.IsValid() && p.GatewayIPv6.IsValid() { // Docker takes one of IPv6 beside one of IPv4 only
		p.Extra.Routes = append(p.Extra.Routes, Route{everything(p.GatewayIPv6), p.GatewayIPv6})
		p.GatewayIPv6 = netip.Addr{}
	}
	more := p.Extra.Addresses
	p.Extra.Addresses = nil
	for _, address := range more {
		if overlaps(address, earlier) {
			p.Extra.Apart = append(p.Extra.Apart, Apart{Address: address})
		} else {
			p.Extra.Addresses = append(p.Extra.Addresses, address)
		}
	}
	p.divideRoutes(earlier)
	return p
}

// setApart takes an address away from Docker whose subnet an earlier port has. A gateway Docker is told with the first
// port alone, because the order of its interfaces, and so their names, depends on who has one; and if it can be reached.
func (p *Port) setApart(address netip.Prefix, gateway netip.Addr, earlier []Port) (netip.Prefix, netip.Addr) {
	if len(earlier) == 0 && address.Contains(gateway) {
		return address, gateway
	}
	if overlaps(address, earlier) {
		p.Extra.Apart = append(p.Extra.Apart, Apart{address, gateway})
		address = netip.Prefix{}
	}
	if gateway.IsValid() {
		p.Extra.Routes = append(p.Extra.Routes, Route{everything(gateway), gateway})
	}
	return address, netip.Addr{}
}

// divideRoutes leaves out what an earlier port has a route to, and tells Docker only of those that it can set.
func (p *Port) divideRoutes(earlier []Port) {
	all := slices.Concat(p.Routes, p.Extra.Routes)
	p.Routes, p.Extra.Routes = nil, nil
	for _, route := range all {
		switch {
		case isRouted(route.To, earlier):
		case route.To.Bits() > 0 && within(route.Via, p.IPv4, p.IPv6):
			p.Routes = append(p.Routes, route)
		default:
			p.Extra.Routes = append(p.Extra.Routes, route)
		}
	}
}

func overlaps(address netip.Prefix, ports []Port) bool {
	return slices.ContainsFunc(ports, func(port Port) bool {
		return slices.ContainsFunc(port.addresses(), address.Masked().Overlaps)
	})
}

func isRouted(to netip.Prefix, ports []Port) bool {
	return slices.ContainsFunc(ports, func(port Port) bool {
		return slices.ContainsFunc(port.routes(), func(route Route) bool { return route.To == to })
	})
}

func within(address netip.Addr, subnets ...netip.Prefix) bool {
	return slices.ContainsFunc(subnets, func(subnet netip.Prefix) bool { return subnet.Contains(address) })
}

// addresses are all that the port has, whoever sets them.
func (p Port) addresses() []netip.Prefix {
	all := slices.Concat([]netip.Prefix{p.IPv4, p.IPv6}, p.Extra.Addresses)
	for _, apart := range p.Extra.Apart {
		all = append(all, apart.Address)
	}
	return slices.DeleteFunc(all, func(address netip.Prefix) bool { return !address.IsValid() })
}

// routes are all that the port has, the default ones included.
func (p Port) routes() []Route {
	all := slices.Concat(p.Routes, p.Extra.Routes)
	for _, gateway := range []netip.Addr{p.Gateway, p.GatewayIPv6} {
		if gateway.IsValid() {
			all = append(all, Route{everything(gateway), gateway})
		}
	}
	return all
}
