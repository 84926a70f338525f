package network

import (
	"net/netip"
	"reflect"
	"testing"
)

func TestBeside(t *testing.T) {
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	first := dualStack()
	metadata := Route{prefix("169.254.169.254/32"), addr("10.0.0.2")}
	for name, c := range map[string]struct {
		port    Port
		earlier []Port
		want    Port
	}{
		"the only one": {first, nil, first},
		"the first one with two subnets of a family": {
			Port{
				IPv4: prefix("10.0.0.5/24"), Gateway: addr("10.0.0.1"),
				Routes: []Route{metadata, {prefix("192.168.0.0/16"), addr("10.1.0.9")}},
				Extra:  Extra{Addresses: []netip.Prefix{prefix("10.1.0.5/24")}},
			},
			nil,
			Port{
				IPv4: prefix("10.0.0.5/24"), Gateway: addr("10.0.0.1"), Routes: []Route{metadata},
				Extra: Extra{
					Addresses: []netip.Prefix{prefix("10.1.0.5/24")},
					Routes:    []Route{{prefix("192.168.0.0/16"), addr("10.1.0.9")}},
				},
			},
		},
		"with a gateway out of Docker's reach": {
			Port{IPv4: prefix("10.0.0.5/24"), Gateway: addr("10.1.0.1")},
			nil,
			Port{IPv4: prefix("10.0.0.5/24"), Extra: Extra{Routes: []Route{{prefix("0.0.0.0/0"), addr("10.1.0.1")}}}},
		},
		"with a gateway of IPv6 alone": {
			Port{IPv6: prefix("fd00:2::5/64"), GatewayIPv6: addr("fd00:2::1")},
			nil,
			Port{IPv6: prefix("fd00:2::5/64"), Extra: Extra{Routes: []Route{{prefix("::/0"), addr("fd00:2::1")}}}},
		},
		"on another network": {
			Port{IPv4: prefix("10.2.0.5/24"), Gateway: addr("10.2.0.1"), Routes: []Route{{prefix("172.16.0.0/12"), addr("10.2.0.9")}}},
			[]Port{first},
			Port{IPv4: prefix("10.2.0.5/24"), Routes: []Route{{prefix("172.16.0.0/12"), addr("10.2.0.9")}}},
		},
		"with a route that is there": {
			Port{IPv4: prefix("10.2.0.5/24"), Routes: []Route{{metadata.To, addr("10.2.0.2")}}},
			[]Port{{IPv4: prefix("10.0.0.5/24"), Routes: []Route{metadata}}},
			Port{IPv4: prefix("10.2.0.5/24")},
		},
		"with the first default route": {
			Port{IPv4: prefix("10.2.0.5/24"), Gateway: addr("10.2.0.1"), IPv6: prefix("fd00:2::5/64"), GatewayIPv6: addr("fd00:2::1")},
			[]Port{{IPv4: prefix("10.0.0.5/24"), Gateway: addr("10.0.0.1")}},
			Port{IPv4: prefix("10.2.0.5/24"), IPv6: prefix("fd00:2::5/64"), Extra: Extra{Routes: []Route{{prefix("::/0"), addr("fd00:2::1")}}}},
		},
		"on the same network": {
			Port{IPv4: prefix("10.0.0.6/24"), Gateway: addr("10.0.0.1"), IPv6: prefix("fd00:1::6/64"), GatewayIPv6: addr("fd00:1::1"), Routes: first.Routes},
			[]Port{first},
			Port{Extra: Extra{Apart: []Apart{
				{prefix("10.0.0.6/24"), addr("10.0.0.1")}, {prefix("fd00:1::6/64"), addr("fd00:1::1")},
			}}},
		},
		"on the second network of the first": {
			Port{IPv4: prefix("10.1.0.6/24")},
			[]Port{{IPv4: prefix("10.0.0.5/24"), Extra: Extra{Addresses: []netip.Prefix{prefix("10.1.0.5/24")}}}},
			Port{Extra: Extra{Apart: []Apart{{Address: prefix("10.1.0.6/24")}}}},
		},
	} {
		if got := c.port.Beside(c.earlier); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v\nwant %+v", name, got, c.want)
		}
	}
}
