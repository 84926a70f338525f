package network

import (
	"net/netip"
	"slices"
)

// routing is the addresses and routes of one of a container's ports, given those before it.
type routing struct {
	Addresses []netip.Prefix
	Routes    []Route
	// Own are addresses with routes of their own: what is sent from one of them has to leave through its own port, because
	// Neutron drops what a port sends from another's address.
	Own []ownRoutes
}

type ownRoutes struct {
	Address netip.Prefix
	Gateway netip.Addr // invalid where there is none
}

// routingOf gives a route to the first port that has one to the same destination. So there is one default route of a family.
func routingOf(port Port, earlier []Port) routing {
	var before []routing
	for i, other := range earlier {
		before = append(before, routingBeside(other, earlier[:i], before))
	}
	return routingBeside(port, earlier, before)
}

func routingBeside(port Port, earlier []Port, before []routing) routing {
	var made routing
	own := append(slices.Clone(earlier), port)
	for _, subnet := range port.Subnets {
		ways := subnet.Routes
		if subnet.Gateway.IsValid() {
			ways = append(slices.Clone(ways), Route{everything(subnet.Gateway), subnet.Gateway})
		}
		for _, way := range ways {
			if !holds(own, way.Via) && !routed(way.To, before) && !has(made.Routes, way.To) { // none leads to the server itself
				made.Routes = append(made.Routes, way)
			}
		}
		made.Addresses = append(made.Addresses, subnet.Addresses...)
		made.Own = append(made.Own, ownRoutesOf(subnet, made.Routes, own)...)
	}
	return made
}

// ownRoutesOf returns routes for those of the subnet's addresses that the main routes do not send from this port.
func ownRoutesOf(subnet Subnet, main []Route, own []Port) []ownRoutes {
	gateway, earlier := subnet.Gateway, own[:len(own)-1]
	if holds(own, gateway) { // the server is the router there
		gateway = netip.Addr{}
	}
	var made []ownRoutes
	for _, address := range subnet.Addresses {
		byMain := gateway.IsValid() && slices.Contains(main, Route{everything(gateway), gateway})
		if !byMain && (gateway.IsValid() || overlaps(address, earlier)) {
			made = append(made, ownRoutes{address, gateway})
		}
	}
	return made
}

// holds tells whether an address is one of the ports'.
func holds(ports []Port, address netip.Addr) bool {
	return slices.ContainsFunc(ports, func(port Port) bool {
		return slices.ContainsFunc(port.Subnets, func(subnet Subnet) bool {
			return slices.ContainsFunc(subnet.Addresses, func(own netip.Prefix) bool { return own.Addr() == address })
		})
	})
}

func has(routes []Route, to netip.Prefix) bool {
	return slices.ContainsFunc(routes, func(route Route) bool { return route.To == to })
}

// routed tells whether one of the ports before has a route there.
func routed(to netip.Prefix, before []routing) bool {
	return slices.ContainsFunc(before, func(other routing) bool { return has(other.Routes, to) })
}

func overlaps(address netip.Prefix, ports []Port) bool {
	return slices.ContainsFunc(ports, func(port Port) bool {
		return slices.ContainsFunc(port.Subnets, func(subnet Subnet) bool {
			return slices.ContainsFunc(subnet.Addresses, address.Overlaps)
		})
	})
}

// everything is the default route's destination.
func everything(gateway netip.Addr) netip.Prefix {
	if gateway.Is6() {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}
