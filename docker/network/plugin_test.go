package network

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"testing"

	"github.com/docker/docker/api/types/network"
	plugin "github.com/docker/go-plugins-helpers/network"
)

// docker answers what a network's options are, and counts how often it was asked.
type docker struct {
	options map[string]map[string]string
	asked   int
}

var errAway = errors.New("docker is away")

func (d *docker) NetworkInspect(_ context.Context, id string, _ network.InspectOptions) (network.Inspect, error) {
	d.asked++
	options, there := d.options[id]
	if !there {
		return network.Inspect{}, errAway
	}
	return network.Inspect{Options: options}, nil
}

func newPlugin(docker *docker) *Plugin { return NewPlugin(docker, slog.New(slog.DiscardHandler)) }

func dualStack() Port {
	return Port{
		ID: portID, MAC: mac, MTU: 1450, Bridge: bridge,
		IPv4: netip.MustParsePrefix("10.0.0.5/24"), Gateway: netip.MustParseAddr("10.0.0.1"),
		IPv6: netip.MustParsePrefix("fd00:1::5/64"), GatewayIPv6: netip.MustParseAddr("fd00:1::1"),
		Routes: []Route{{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParseAddr("10.0.0.254")}},
	}
}

func option(t *testing.T, port Port) string {
	t.Helper()
	text, err := json.Marshal(port)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func create(options any) *plugin.CreateNetworkRequest {
	return &plugin.CreateNetworkRequest{NetworkID: "n", Options: map[string]any{genericOptions: options}}
}

func TestJoinAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Port)
		want   plugin.JoinResponse
	}{
		"dual stack": {func(*Port) {}, plugin.JoinResponse{
			Gateway: "10.0.0.1", GatewayIPv6: "fd00:1::1",
			StaticRoutes: []*plugin.StaticRoute{{Destination: "192.168.0.0/16", NextHop: "10.0.0.254"}},
		}},
		"no gateway": {func(p *Port) { p.Gateway, p.GatewayIPv6, p.Routes = netip.Addr{}, netip.Addr{}, nil }, plugin.JoinResponse{}},
		"v6 only":    {func(p *Port) { p.Gateway, p.Routes = netip.Addr{}, nil }, plugin.JoinResponse{GatewayIPv6: "fd00:1::1"}},
	} {
		port := dualStack()
		c.change(&port)
		c.want.InterfaceName = plugin.InterfaceName{SrcName: "ndk3f6a0b1c-d2", DstPrefix: "eth"}
		c.want.DisableGatewayService = true // or Docker adds a bridge of its own beside Neutron's
		if got := port.join(); !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, *got, c.want)
		}
	}
}

func TestCreateNetworkRefuses(t *testing.T) {
	for name, request := range map[string]*plugin.CreateNetworkRequest{
		"no options":       {NetworkID: "n"},
		"none of ours":     create(map[string]any{"com.docker.network.bridge.name": "br0"}),
		"options no map":   create("nonsense"),
		"no text":          create(map[string]any{PortOption: 7}),
		"no JSON":          create(map[string]any{PortOption: "eth0"}),
		"no port":          create(map[string]any{PortOption: "{}"}),
		"an id too short":  create(map[string]any{PortOption: `{"id":"3f6a0b1c"}`}),
		"no address":       create(map[string]any{PortOption: `{"id":"` + portID + `","ipv4":"nonsense"}`}),
		"option elsewhere": {NetworkID: "n", Options: map[string]any{PortOption: `{"id":"` + portID + `"}`}},
	} {
		docker := &docker{}
		p := newPlugin(docker)
		if err := p.CreateNetwork(request); err == nil {
			t.Errorf("%s: was taken", name)
		}
		if _, err := p.port("n"); !errors.Is(err, errAway) {
			t.Errorf("%s: is remembered: %v", name, err)
		}
	}
}

func TestEndpointIsThePort(t *testing.T) {
	p := newPlugin(&docker{})
	if err := p.CreateNetwork(create(map[string]any{PortOption: option(t, dualStack())})); err != nil {
		t.Fatal(err)
	}
	all := plugin.EndpointInterface{MacAddress: mac, Address: "10.0.0.5/24", AddressIPv6: "fd00:1::5/64"}
	for name, c := range map[string]struct{ asked, want *plugin.EndpointInterface }{
		"nothing is asked for": {nil, &all},
		"empty":                {&plugin.EndpointInterface{}, &all},
		// libnetwork takes it for an error when a driver answers what was given to it.
		"the MAC is given":    {&plugin.EndpointInterface{MacAddress: mac}, &plugin.EndpointInterface{Address: all.Address, AddressIPv6: all.AddressIPv6}},
		"all of it is given":  {&all, &plugin.EndpointInterface{}},
		"an address is given": {&plugin.EndpointInterface{Address: "10.0.0.5/24"}, &plugin.EndpointInterface{MacAddress: mac, AddressIPv6: all.AddressIPv6}},
	} {
		got, err := p.CreateEndpoint(&plugin.CreateEndpointRequest{NetworkID: "n", EndpointID: "e", Interface: c.asked})
		if err != nil || !reflect.DeepEqual(got.Interface, c.want) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestEndpointWithoutAddresses(t *testing.T) {
	p := newPlugin(&docker{options: map[string]map[string]string{"n": {PortOption: option(t, Port{ID: portID, MAC: mac})}}})
	got, err := p.CreateEndpoint(&plugin.CreateEndpointRequest{NetworkID: "n"})
	if want := (plugin.EndpointInterface{MacAddress: mac}); err != nil || *got.Interface != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestPortsAreFoundAfterARestart: the plugin forgets with the agent, and Docker does not.
func TestPortsAreFoundAfterARestart(t *testing.T) {
	docker := &docker{options: map[string]map[string]string{"n": {PortOption: option(t, dualStack())}}}
	p := newPlugin(docker)
	for range 2 {
		if got, err := p.port("n"); err != nil || !reflect.DeepEqual(got, dualStack()) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if docker.asked != 1 {
		t.Errorf("Docker was asked %d times", docker.asked)
	}
}

func TestPortsAreForgottenWithTheirNetwork(t *testing.T) {
	docker := &docker{}
	p := newPlugin(docker)
	if err := p.CreateNetwork(create(map[string]any{PortOption: option(t, dualStack())})); err != nil {
		t.Fatal(err)
	}
	if _, err := p.port("n"); err != nil || docker.asked != 0 {
		t.Fatalf("%v, and Docker was asked %d times", err, docker.asked)
	}
	if err := p.DeleteNetwork(&plugin.DeleteNetworkRequest{NetworkID: "n"}); err != nil {
		t.Fatal(err)
	}
	if port, err := p.port("n"); !errors.Is(err, errAway) {
		t.Errorf("got %+v, %v", port, err)
	}
}

// TestStrangeNetworks: what cannot be read is an error, and is asked for again.
func TestStrangeNetworks(t *testing.T) {
	docker := &docker{options: map[string]map[string]string{"n": {}}}
	p := newPlugin(docker)
	if _, err := p.CreateEndpoint(&plugin.CreateEndpointRequest{NetworkID: "n"}); err == nil {
		t.Error("an endpoint of a network without a port")
	}
	if _, err := p.Join(&plugin.JoinRequest{NetworkID: "n"}); err == nil {
		t.Error("joined a network without a port")
	}
	if docker.asked != 2 {
		t.Errorf("Docker was asked %d times", docker.asked)
	}
}

func TestNetworksAreOfThisHost(t *testing.T) {
	got, err := newPlugin(&docker{}).GetCapabilities()
	if err != nil || got.Scope != plugin.LocalScope || got.ConnectivityScope != plugin.LocalScope {
		t.Errorf("got %+v, %v", got, err)
	}
}
