package network

import (
	"net/netip"
	"reflect"
	"testing"
)

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func addr(text string) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(text)
}

// on is a port with an address in a subnet for each pair of address and gateway.
func on(pairs ...string) Port {
	var port Port
	for i := 0; i < len(pairs); i += 2 {
		port.Subnets = append(port.Subnets, Subnet{Addresses: []netip.Prefix{prefix(pairs[i])}, Gateway: addr(pairs[i+1])})
	}
	return port
}

func TestRouting(t *testing.T) {
	v4, v6 := Route{prefix("0.0.0.0/0"), addr("10.0.0.1")}, Route{prefix("::/0"), addr("fd00::1")}
	first := on("10.0.0.5/24", "10.0.0.1", "fd00::5/64", "fd00::1")
	for name, c := range map[string]struct {
		port    Port
		earlier []Port
		routes  []Route
		own     []ownRoutes
	}{
		"one of each family": {port: first, routes: []Route{v4, v6}},
		"without a gateway":  {port: on("10.0.0.5/24", "")},
		"two gateways on one port": {
			port: on("10.0.0.5/24", "10.0.0.1", "10.1.0.5/24", "10.1.0.1"), routes: []Route{v4},
			own: []ownRoutes{{prefix("10.1.0.5/24"), addr("10.1.0.1")}},
		},
		"a second port elsewhere answers by its own gateway": {
			port: on("10.1.0.5/24", "10.1.0.1"), earlier: []Port{first}, own: []ownRoutes{{prefix("10.1.0.5/24"), addr("10.1.0.1")}},
		},
		"a second port elsewhere without one": {port: on("10.1.0.5/24", ""), earlier: []Port{first}},
		"a second port on the same network": {
			port: on("10.0.0.6/24", ""), earlier: []Port{first}, own: []ownRoutes{{Address: prefix("10.0.0.6/24")}},
		},
		"the first with a gateway is the second port": {
			port: on("10.0.0.5/24", "10.0.0.1"), earlier: []Port{on("10.9.0.5/24", "")}, routes: []Route{v4},
		},
		"the server is its subnet's router":  {port: on("10.0.0.1/24", "10.0.0.1")},
		"a router's second port has the way": {port: on("10.1.0.5/24", "10.1.0.1"), earlier: []Port{on("10.0.0.1/24", "10.0.0.1")}, routes: []Route{{prefix("0.0.0.0/0"), addr("10.1.0.1")}}},
		"the other family's is still to be had": {
			port: first, earlier: []Port{on("10.1.0.5/24", "10.1.0.1")}, routes: []Route{v6},
			own: []ownRoutes{{prefix("10.0.0.5/24"), addr("10.0.0.1")}},
		},
	} {
		got := routingOf(c.port, c.earlier)
		if !reflect.DeepEqual(got.Routes, c.routes) || !reflect.DeepEqual(got.Own, c.own) {
			t.Errorf("%s: got %+v", name, got)
		}
		if len(got.Addresses) != len(c.port.Subnets) {
			t.Errorf("%s: got addresses %v", name, got.Addresses)
		}
	}
}

func TestHostRoutesAreTheFirstPorts(t *testing.T) {
	metadata := Route{prefix("169.254.169.254/32"), addr("10.0.0.2")}
	first, second := on("10.0.0.5/24", ""), on("10.1.0.5/24", "")
	first.Subnets[0].Routes = []Route{metadata}
	second.Subnets[0].Routes = []Route{{metadata.To, addr("10.1.0.2")}, {prefix("192.168.0.0/16"), addr("10.1.0.9")}}
	if got := routingOf(first, nil).Routes; !reflect.DeepEqual(got, []Route{metadata}) {
		t.Errorf("got %v", got)
	}
	second.Subnets[0].Routes = append(second.Subnets[0].Routes, Route{prefix("172.16.0.0/12"), addr("10.1.0.5")}) // by itself
	if got := routingOf(second, []Port{first}).Routes; !reflect.DeepEqual(got, second.Subnets[0].Routes[1:2]) {
		t.Errorf("got %v", got)
	}
}
