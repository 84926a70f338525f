package network

import (
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
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

func parse(t testing.TB, text []byte) VIF {
	t.Helper()
	var vif VIF
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

func TestPorts(t *testing.T) {
	v4, v6 := netip.MustParsePrefix("10.0.0.5/24"), netip.MustParsePrefix("fd00:1::5/64")
	gw4, gw6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00:1::1")
	base := Port{ID: portID, MAC: mac, MTU: 1450, Bridge: bridge}
	want := map[string]func(p *Port){
		"v4":         func(p *Port) { p.IPv4, p.Gateway, p.DNS = v4, gw4, addrs("10.0.0.2", "10.0.0.3") },
		"v6":         func(p *Port) { p.IPv6, p.GatewayIPv6, p.DNS = v6, gw6, addrs("fd00:1::2") },
		"no address": func(*Port) {},
		"no gateway": func(p *Port) { p.IPv4 = v4 },
		"no mtu":     func(p *Port) { p.IPv4, p.Gateway, p.DNS, p.MTU = v4, gw4, addrs("10.0.0.2"), 0 },
		"dual stack": func(p *Port) {
			p.IPv4, p.Gateway, p.IPv6, p.GatewayIPv6, p.DNS = v4, gw4, v6, gw6, addrs("10.0.0.2", "fd00:1::2")
		},
		"routes": func(p *Port) {
			p.IPv4, p.Gateway = v4, gw4
			p.Routes = []Route{
				{netip.MustParsePrefix("169.254.169.254/32"), netip.MustParseAddr("10.0.0.2")},
				{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParseAddr("10.0.0.254")},
			}
		},
		"floating ip": func(p *Port) { p.IPv4, p.Gateway, p.DNS = v4, gw4, addrs("10.0.0.2") },
	}
	refused := map[string]string{"ovs": `"ovs"`, "unbound": `"binding_failed"`, "no bridge": "no bridge"}
	for name, text := range novas(t) {
		got, err := parse(t, text).Port()
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
	for name, change := range map[string]func(v *VIF){
		"no id":              func(v *VIF) { v.ID = "" },
		"an id too short":    func(v *VIF) { v.ID = "3f6a0b1c-d" },
		"a bridge too long":  func(v *VIF) { v.Network.Bridge = "brq0b6ba3c1-5a4e" },
		"no MAC":             func(v *VIF) { v.Address = "" },
		"no MAC but words":   func(v *VIF) { v.Address = "nonsense" },
		"no type":            func(v *VIF) { v.Type = "" },
		"another family's":   func(v *VIF) { v.Network.Subnets[0].CIDR = netip.MustParsePrefix("fd00::/64") },
		"no prefix":          func(v *VIF) { v.Network.Subnets[0].CIDR = netip.Prefix{} },
		"a type not plugged": func(v *VIF) { v.Type = "hw_veb" },
	} {
		vif := parse(t, good)
		change(&vif)
		if port, err := vif.Port(); err == nil {
			t.Errorf("%s: got %+v", name, port)
		}
	}
}

func TestBadAddressesAreNoJSON(t *testing.T) {
	for _, text := range []string{
		`{"network":{"subnets":[{"ips":[{"address":"10.0.0.256"}]}]}}`,
		`{"network":{"subnets":[{"cidr":"10.0.0.0/33"}]}}`,
		`{"network":{"subnets":[{"gateway":"10.0.0.1"}]}}`,
	} {
		var vif VIF
		if err := json.Unmarshal([]byte(text), &vif); err == nil {
			t.Errorf("%s: got %+v", text, vif)
		}
	}
}

// TestWhatIsIncompleteIsLeftOut: a route or a resolver that Docker could not parse would keep the server from starting.
func TestWhatIsIncompleteIsLeftOut(t *testing.T) {
	vif := parse(t, []byte(`{"id":"`+portID+`","address":"`+mac+`","type":"bridge","network":{"bridge":"br","subnets":[
		{"cidr":"10.0.0.0/24","gateway":null,"dns":[{"address":null}],"ips":[{"address":null}],
		 "routes":[{"cidr":"192.168.0.0/16","gateway":{"address":null}},{"cidr":null,"gateway":{"address":"10.0.0.1"}}]}]}}`))
	port, err := vif.Port()
	if want := (Port{ID: portID, MAC: mac, Bridge: "br"}); err != nil || !reflect.DeepEqual(port, want) {
		t.Errorf("got %+v, %v", port, err)
	}
}

// TestNames: those that Neutron's agents look for, in the length that the kernel takes.
func TestNames(t *testing.T) {
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
		var vif VIF
		if json.Unmarshal(text, &vif) != nil {
			return
		}
		port, err := vif.Port()
		if err != nil {
			return
		}
		if len(port.Tap()) > maxName || len(port.peer()) > maxName || port.Tap() == port.peer() {
			t.Errorf("got links %q and %q", port.Tap(), port.peer())
		}
		wantRemembered(t, port)
		answer, err := json.Marshal(port.join())
		if err != nil || strings.Contains(string(answer), "invalid") {
			t.Errorf("Docker is answered %s, %v", answer, err)
		}
	})
}

// wantRemembered checks that a port survives being kept in the options of its Docker network.
func wantRemembered(t *testing.T, port Port) {
	t.Helper()
	text, err := json.Marshal(port)
	if err != nil {
		t.Fatal(err)
	}
	again, err := parsePort(string(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if second, err := json.Marshal(again); err != nil || string(second) != string(text) {
		t.Errorf("%s became %s, %v", text, second, err)
	}
}
