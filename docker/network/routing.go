package network

import (
	"net/netip"
	"slices"
)

// routing is how a container sends and is reached by one of its ports, given those before it.
type routing struct {
	Addresses []netip.Prefix
	Routes    []Route
	// Own are addresses that answer by the port's own routes: what is sent from one of them has to leave through its own
	// port, because Neutron lets no port send what is another's.
	Own []ownRoutes
}

type ownRoutes struct {
	Address netip.Prefix
	Gateway netip.Addr // invalid where there is none
}

// routingOf leaves to the first port that has a way to somewhere what is sent there. So there is one default route of a
// family.
func routingOf(port Port, earlier []Port) routing {
	var made routing
	for _, subnet := range port.Subnets {
		main := subnet.Gateway.IsValid() && !routed(everything(subnet.Gateway), earlier) && !has(made.Routes, everything(subnet.Gateway))
		for _, address := range subnet.Addresses {
			made.Addresses = append(made.Addresses, address)
			if !main && (subnet.Gateway.IsValid() || overlaps(address, earlier)) {
				made.Own = append(made.Own, ownRoutes{address, subnet.Gateway})
			}
		}
		for _, route := range subnet.Routes {
			if !routed(route.To, earlier) && !has(made.Routes, route.To) {
				made.Routes = append(made.Routes, route)
			}
		}
		if gateway := everything(subnet.Gateway); main && !has(made.Routes, gateway) {
			made.Routes = append(made.Routes, Route{gateway, subnet.Gateway})
		}
	}
	return made
}

func has(routes []Route, to netip.Prefix) bool {
	return slices.ContainsFunc(routes, func(route Route) bool { return route.To == to })
}

// routed tells whether one of the ports has a route there.
func routed(to netip.Prefix, ports []Port) bool {
	return slices.ContainsFunc(ports, func(port Port) bool {
		return slices.ContainsFunc(port.Subnets, func(subnet Subnet) bool {
			return has(subnet.Routes, to) || subnet.Gateway.IsValid() && everything(subnet.Gateway) == to
		})
	})
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
