package network

import (
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ndock/docker/agent"
	"ndock/docker/network/networktest"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"golang.org/x/sys/unix"
)

const (
	portID = "3f6a0b1c-d2e4-4f56-8a78-9b0c1d2e3f40"
	mac    = "fa:16:3e:01:02:03"
	bridge = "brq0b6ba3c1-5a"
)

// novas are ports as Nova makes them. The driver's own tests compare this file with what Nova's classes become.
func novas(t testing.TB) map[string]json.RawMessage {
	t.Helper()
	text, err := os.ReadFile("../../openstack/novadriver/tests/testdata/vifs.json")
	if err != nil {
		t.Fatal(err)
	}
	var vifs map[string]json.RawMessage
	if err := json.Unmarshal(text, &vifs); err != nil {
		t.Fatal(err)
	}
	return vifs
}

func parse(t testing.TB, text []byte) agent.VIF {
	t.Helper()
	var vif agent.VIF
	if err := json.Unmarshal(text, &vif); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return vif
}

func addrs(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

// subnet is one that the port has an address in.
func subnet(address, gateway string, dns ...string) Subnet {
	return Subnet{Addresses: []netip.Prefix{prefix(address)}, Gateway: addr(gateway), DNS: addrs(dns...)}
}

// dualStack is a port with an address of each family.
func dualStack() Port {
	return Port{
		ID: portID, MAC: mac, MTU: 1450, Bridge: bridge,
		Subnets: []Subnet{subnet("10.0.0.5/24", "10.0.0.1", "10.0.0.2"), subnet("fd00:1::5/64", "fd00:1::1", "fd00:1::2")},
	}
}

func TestPorts(t *testing.T) {
	const v4, gw4, v6, gw6 = "10.0.0.5/24", "10.0.0.1", "fd00:1::5/64", "fd00:1::1"
	base := Port{ID: portID, MAC: mac, MTU: 1450, Bridge: bridge}
	want := map[string]func(p *Port){
		"v4":         func(p *Port) { p.Subnets = []Subnet{subnet(v4, gw4, "10.0.0.2", "10.0.0.3")} },
		"v6":         func(p *Port) { p.Subnets = []Subnet{subnet(v6, gw6, "fd00:1::2")} },
		"no address": func(*Port) {},
		"no gateway": func(p *Port) { p.Subnets = []Subnet{subnet(v4, "")} },
		"no mtu":     func(p *Port) { p.Subnets, p.MTU = []Subnet{subnet(v4, gw4, "10.0.0.2")}, 0 },
		"dual stack": func(p *Port) { p.Subnets = dualStack().Subnets },
		"routes": func(p *Port) {
			p.Subnets = []Subnet{subnet(v4, gw4, "10.0.0.1")} // its DHCP server
			p.Subnets[0].Routes = []Route{
				{prefix("169.254.169.254/32"), addr("10.0.0.2")}, {prefix("192.168.0.0/16"), addr("10.0.0.254")},
			}
		},
		"ovs": func(p *Port) {
			p.Kind, p.Bridge, p.Tagged = OpenVSwitch, "br-int", true
			p.Subnets = []Subnet{subnet(v4, gw4, "10.0.0.2")}
		},
		"floating ip": func(p *Port) { p.Subnets = []Subnet{subnet(v4, gw4, "10.0.0.2")} },
	}
	refused := map[string]string{"unbound": `"binding_failed"`, "no bridge": `into ""`}
	for name, text := range novas(t) {
		got, err := PortOf(parse(t, text), nil)
		if says, refuse := refused[name]; refuse {
			if err == nil || !strings.Contains(err.Error(), says) || !reflect.DeepEqual(got, Port{}) {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
			continue
		}
		if want[name] == nil {
			t.Fatalf("nobody knows what %q should become", name)
		}
		port := base
		want[name](&port)
		if err != nil || !reflect.DeepEqual(got, port) {
			t.Errorf("%s: got %+v, %v\nwant %+v", name, got, err, port)
		}
	}
}

func TestPortRefuses(t *testing.T) {
	good := novas(t)["v4"]
	for name, change := range map[string]func(v *agent.VIF){
		"no id":                  func(v *agent.VIF) { v.ID = "" },
		"an id too short":        func(v *agent.VIF) { v.ID = "3f6a0b1c-d" },
		"an id with a path":      func(v *agent.VIF) { v.ID = "/../../../3f6a0b1c-d2e4-4f56-8a78-9b0c1d" },
		"a port of Docker's":     func(v *agent.VIF) { v.Network.Bridge = "docker0" },
		"the host's bridge":      func(v *agent.VIF) { v.Network.Bridge = "br-ex" },
		"nearly Neutron's":       func(v *agent.VIF) { v.Network.Bridge = "brq-management" },
		"a switch's as a bridge": func(v *agent.VIF) { v.Network.Bridge = "br-int" },
		"a bridge as a switch's": func(v *agent.VIF) { v.Type = "ovs" },
		"a group's MAC":          func(v *agent.VIF) { v.Address = "01:00:5e:00:00:01" },
		"a MAC of InfiniBand":    func(v *agent.VIF) { v.Address = "00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01" },
		"a negative MTU":         func(v *agent.VIF) { v.Network.Meta.MTU = -1 },
		"too large an MTU":       func(v *agent.VIF) { v.Network.Meta.MTU = 65536 },
		"too many subnets":       func(v *agent.VIF) { v.Network.Subnets = slices.Repeat(v.Network.Subnets, maxSubnets+1) },
		"too many addresses": func(v *agent.VIF) {
			v.Network.Subnets[0].IPs = slices.Repeat(v.Network.Subnets[0].IPs, maxOfASubnet+1)
		},
		"a bridge too long":  func(v *agent.VIF) { v.Network.Bridge = "brq0b6ba3c1-5a4e" },
		"no MAC":             func(v *agent.VIF) { v.Address = "" },
		"no MAC but words":   func(v *agent.VIF) { v.Address = "nonsense" },
		"no type":            func(v *agent.VIF) { v.Type = "" },
		"another family's":   func(v *agent.VIF) { v.Network.Subnets[0].CIDR = netip.MustParsePrefix("fd00::/64") },
		"no prefix":          func(v *agent.VIF) { v.Network.Subnets[0].CIDR = netip.Prefix{} },
		"a type not plugged": func(v *agent.VIF) { v.Type = "hw_veb" },
	} {
		vif := parse(t, good)
		change(&vif)
		if port, err := PortOf(vif, []string{"br"}); err == nil {
			t.Errorf("%s: got %+v", name, port)
		}
	}
}

func TestBadAddressesAreNoJSON(t *testing.T) {
	for _, text := range []string{
		`{"network":{"subnets":[{"ips":[{"address":"10.0.0.256"}]}]}}`,
		`{"network":{"subnets":[{"cidr":"10.0.0.0/33"}]}}`,
		`{"network":{"subnets":[{"gateway":"10.0.0.1"}]}}`,
		`{"network":{"subnets":[{"dns":[{"address":"fe80::1%eth0\nsearch example.org"}]}]}}`,
	} {
		var vif agent.VIF
		if err := json.Unmarshal([]byte(text), &vif); err == nil {
			t.Errorf("%s: got %+v", text, vif)
		}
	}
}

// TestWhatIsIncompleteIsLeftOut: a route to nowhere would keep the server from starting.
func TestWhatIsIncompleteIsLeftOut(t *testing.T) {
	vif := parse(t, []byte(`{"id":"`+portID+`","address":"`+mac+`","type":"bridge","network":{"bridge":"br","subnets":[
		{"cidr":"10.0.0.0/24","gateway":null,"dns":[{"address":null}],"ips":[{"address":null}],"meta":{"dhcp_server":null},
		 "routes":[{"cidr":"192.168.0.0/16","gateway":{"address":null}},{"cidr":null,"gateway":{"address":"10.0.0.1"}}]}]}}`))
	port, err := PortOf(vif, []string{"br"})
	if want := (Port{ID: portID, MAC: mac, Bridge: "br", Subnets: []Subnet{{}}}); err != nil || !reflect.DeepEqual(port, want) {
		t.Errorf("got %+v, %v", port, err)
	}
}

// TestRoutesToNeighbours are via 0.0.0.0, or via ::, in Neutron, as in DHCP.
func TestRoutesToNeighbours(t *testing.T) {
	networktest.Own(t)
	vif := parse(t, []byte(`{"id":"`+portID+`","address":"`+mac+`","type":"bridge","network":{"bridge":"`+bridge+`","subnets":[
		{"cidr":"10.0.0.0/24","ips":[{"address":"10.0.0.5"}],"routes":[{"cidr":"192.168.0.0/16","gateway":{"address":"0.0.0.0"}}]},
		{"cidr":"fd00:1::/64","ips":[{"address":"fd00:1::5"}],"routes":[{"cidr":"fd00:2::/64","gateway":{"address":"::"}}]}]}}`))
	port, err := PortOf(vif, nil)
	if err != nil {
		t.Fatal(err)
	}
	ns := sandbox(t)
	if err := Attach(port, nil, ns); err != nil {
		t.Fatal(err)
	}
	in(t, ns, func() {
		wantRoute(t, unix.RT_TABLE_MAIN, "192.168.0.0/16", "<nil>")
		wantRoute(t, unix.RT_TABLE_MAIN, "fd00:2::/64", "<nil>")
	})
}

// TestBridgesThatTheOperatorAllows: what Neutron's own configuration can name.
func TestBridgesThatTheOperatorAllows(t *testing.T) {
	for _, kind := range []string{"bridge", "ovs"} {
		vif := parse(t, novas(t)["v4"])
		vif.Type, vif.Network.Bridge = kind, "br-provider"
		if _, err := PortOf(vif, []string{"br-other"}); err == nil || !strings.Contains(err.Error(), "agent.yaml") {
			t.Errorf("%s: got %v", kind, err)
		}
		if port, err := PortOf(vif, []string{"br-other", "br-provider"}); err != nil || port.Bridge != "br-provider" {
			t.Errorf("%s: got %+v, %v", kind, port, err)
		}
	}
}

// TestTheDeadVLAN is where a port is until Neutron's agent gives it the tag of its network. OVN gives none.
func TestTheDeadVLAN(t *testing.T) {
	for drivers, want := range map[string]any{"openvswitch": deadVLAN, "ovn": nil, "": nil} {
		vif := parse(t, novas(t)["ovs"])
		vif.Details.Drivers = map[string]string{"0": drivers}
		port, err := PortOf(vif, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, operation := range insertion(port.Tap(), port, ovsdb.OvsMap{}) {
			got := []any{operation.Row["tag"], operation.Row["trunks"]}
			if operation.Table == "Port" && (got[0] != want || got[1] != want) {
				t.Errorf("%q: got tag and trunks %v, want %v", drivers, got, want)
			}
		}
	}
	vif := parse(t, novas(t)["v4"])
	vif.Details.Drivers = map[string]string{"0": "openvswitch"}
	if port, err := PortOf(vif, nil); err != nil || port.Tagged {
		t.Errorf("a port of a Linux bridge: got %+v, %v", port, err)
	}
}

// TestAPortOfAPhysicalNetwork: the host's own addresses may come into its bridge.
func TestAPortOfAPhysicalNetwork(t *testing.T) {
	for kind, want := range map[string]bool{"bridge": true, "ovs": false} {
		vif := parse(t, novas(t)["v4"])
		vif.Type, vif.Network.Meta.Physical = kind, "provider"
		if port, err := PortOf(vif, []string{bridge}); err != nil || port.Physical != want {
			t.Errorf("%s: got %+v, %v", kind, port, err)
		}
	}
}

func TestHybrid(t *testing.T) {
	vif := parse(t, novas(t)["ovs"])
	vif.Details.Hybrid = true
	if port, err := PortOf(vif, []string{"br"}); err != nil || port.Kind != Hybrid || port.Bridge != "br-int" {
		t.Errorf("got %+v, %v", port, err)
	}
}

// TestTheDHCPServerResolves where the subnet names no resolver: so it tells those who ask it.
func TestTheDHCPServerResolves(t *testing.T) {
	for dns, want := range map[string][]netip.Addr{
		`[]`: addrs("10.0.0.2"), `[{"address":"10.0.0.9"}]`: addrs("10.0.0.9"),
		// Neutron's words for none, that of its DHCP server included:
		`[{"address":"0.0.0.0"}]`: nil, `[{"address":"::"}]`: nil, `[{"address":"0.0.0.0"},{"address":"10.0.0.9"}]`: addrs("10.0.0.9"),
	} {
		vif := parse(t, []byte(`{"id":"`+portID+`","address":"`+mac+`","type":"bridge","network":{"bridge":"br","subnets":[
			{"cidr":"10.0.0.0/24","dns":`+dns+`,"meta":{"dhcp_server":"10.0.0.2"}}]}}`))
		port, err := PortOf(vif, []string{"br"})
		if err != nil || !reflect.DeepEqual(port.Subnets[0].DNS, want) {
			t.Errorf("got %+v, %v, want %s", port, err, want)
		}
	}
}

// TestLinkNames: those that Neutron's agents look for, in the length that the kernel takes.
func TestLinkNames(t *testing.T) {
	port := Port{ID: portID}
	if port.Tap() != "tap3f6a0b1c-d2" || port.peer() != "ndk3f6a0b1c-d2" {
		t.Errorf("got %s and %s", port.Tap(), port.peer())
	}
}

func FuzzVIF(f *testing.F) {
	for _, text := range novas(f) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var vif agent.VIF
		if json.Unmarshal(text, &vif) != nil {
			return
		}
		port, err := PortOf(vif, []string{"br"})
		if err != nil {
			return
		}
		if len(port.Tap()) > maxName || len(port.peer()) > maxName || port.Tap() == port.peer() {
			t.Errorf("got links %q and %q", port.Tap(), port.peer())
		}
		dir := t.TempDir()
		port.Dir = dir
		if err := SetPorts(dir, []Port{port}); err != nil {
			t.Fatal(err)
		}
		if again, err := Ports(dir); err != nil || !reflect.DeepEqual(again, []Port{port}) {
			t.Errorf("%+v became %+v, %v", port, again, err)
		}
		if text := hosts("web", "", []Port{port}) + resolvConf("", []Port{port}); strings.Contains(text, "invalid") {
			t.Errorf("a container is told %s", text)
		}
		for _, route := range routingOf(port, nil).Routes {
			if !route.To.IsValid() || route.Via.IsValid() && route.Via.IsUnspecified() {
				t.Errorf("a route to %s via %s", route.To, route.Via)
			}
		}
	})
}
