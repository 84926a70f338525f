package network

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ndock/docker/network/networktest"
)

const otherID = "5f6a0b1c-d2e4-4f56-8a78-9b0c1d2e3f41"

// sandbox is a container's network, by the path that a runtime would give.
func sandbox(t *testing.T) string {
	t.Helper()
	file := networktest.Another(t)
	t.Cleanup(func() { file.Close() })
	return fmt.Sprintf("/proc/self/fd/%d", file.Fd())
}

// in looks at a container from inside.
func in(t *testing.T, ns string, look func()) {
	t.Helper()
	opened, err := openNamespace(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.close()
	if err := opened.do(func(namespace) error { look(); return nil }); err != nil {
		t.Fatal(err)
	}
}

// two ports of one server, on networks that overlap.
func two() []Port {
	second := Port{
		ID: otherID, MAC: "fa:16:3e:01:02:04", MTU: 1400, Bridge: bridge, Index: 2,
		Subnets: []Subnet{{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.6/24")}, Gateway: netip.MustParseAddr("10.0.0.1")}},
	}
	return []Port{dualStack(), second}
}

func TestJoinAndLeave(t *testing.T) {
	networktest.Own(t)
	netnsPath := filepath.Join(t.TempDir(), "netns", "held")
	ports := two()
	for range 2 { // a start, and the next one
		ns := sandbox(t)
		if err := Join(ports, ns, netnsPath); err != nil {
			t.Fatal(err)
		}
		wantNoLink(t, ports[0].peer(), ports[1].peer())
		in(t, ns, func() {
			wantAddresses(t, link(t, "eth0"), "10.0.0.5/24", "fd00:1::5/64")
			wantAddresses(t, link(t, "eth2"), "10.0.0.6/24")
			if attrs := link(t, "eth2").Attrs(); attrs.MTU != 1400 || attrs.HardwareAddr.String() != ports[1].MAC || attrs.OperState != netlink.OperUp {
				t.Errorf("got %+v", attrs)
			}
			wantRoute(t, unix.RT_TABLE_MAIN, "0.0.0.0/0", "10.0.0.1")
			wantRoute(t, unix.RT_TABLE_MAIN, "::/0", "fd00:1::1")
			wantOwnRoutes(t, link(t, "eth2"), "10.0.0.6/32", "10.0.0.0/24", "10.0.0.1")
		})
		first := link(t, ports[0].Tap()).Attrs().Index
		if err := Leave(ports, netnsPath); err != nil {
			t.Fatal(err)
		}
		wantPlugged(t, ports[0])
		if link(t, ports[0].Tap()).Attrs().Index != first {
			t.Error("the veth pair was made again")
		}
		if _, err := os.Stat(netnsPath); !os.IsNotExist(err) {
			t.Errorf("the namespace is still held: %v", err)
		}
	}
	if err := Leave(ports, netnsPath); err != nil { // nothing to leave
		t.Error(err)
	}
}

// TestJoinAfterNobodyLeft: the host's power failed, or the hook was killed.
func TestJoinAfterNobodyLeft(t *testing.T) {
	networktest.Own(t)
	netnsPath := filepath.Join(t.TempDir(), "held")
	ports := two()
	for range 2 {
		if err := Join(ports, sandbox(t), netnsPath); err != nil {
			t.Fatal(err)
		}
	}
	if err := unpin(netnsPath); err != nil { // the netnsPath is lost as well, the ends are in a container that nobody knows
		t.Fatal(err)
	}
	if err := Join(ports, sandbox(t), netnsPath); err != nil {
		t.Fatal(err)
	}
	if err := Leave(ports, netnsPath); err != nil {
		t.Fatal(err)
	}
}

// TestAttachAfterAFailure: what an earlier try left half-done in the container is completed.
func TestAttachAfterAFailure(t *testing.T) {
	networktest.Own(t)
	ns, ports := sandbox(t), two()
	if err := Attach(ports[0], nil, ns); err != nil {
		t.Fatal(err)
	}
	broken := two()[1]
	broken.Subnets[0].Routes = []Route{{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParseAddr("224.0.0.1")}}
	broken.Subnets[0].Gateway = netip.Addr{}
	for range 2 {
		if err := Attach(broken, ports[:1], ns); err == nil {
			t.Fatal("a route via no neighbour was taken")
		}
	}
	if err := Attach(ports[1], ports[:1], ns); err != nil {
		t.Fatal(err)
	}
	in(t, ns, func() {
		wantAddresses(t, link(t, "eth2"), "10.0.0.6/24")
		wantOwnRoutes(t, link(t, "eth2"), "10.0.0.6/32", "10.0.0.0/24", "10.0.0.1")
	})
}

// TestAttachAfterTheMove: who moved the port in was killed before he set it up.
func TestAttachAfterTheMove(t *testing.T) {
	networktest.Own(t)
	ns, port := sandbox(t), dualStack()
	plug(t, port)
	opened, err := openNamespace(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.close()
	if err := moveToNetns(port, opened); err != nil {
		t.Fatal(err)
	}
	if err := Attach(port, nil, ns); err != nil {
		t.Fatal(err)
	}
	in(t, ns, func() {
		wantAddresses(t, link(t, "eth0"), "10.0.0.5/24", "fd00:1::5/64")
		wantRoute(t, unix.RT_TABLE_MAIN, "0.0.0.0/0", "10.0.0.1")
	})
}

// TestAPortThatIsNotWired is in no container, whatever starts in the meantime, until it is attached.
func TestAPortThatIsNotWired(t *testing.T) {
	networktest.Own(t)
	netnsPath, ns, ports := filepath.Join(t.TempDir(), "held"), sandbox(t), two()
	ports[0].Unwired = true
	if err := Join(ports, ns, netnsPath); err != nil {
		t.Fatal(err)
	}
	in(t, ns, func() {
		wantNoLink(t, "eth0")
		wantRoute(t, unix.RT_TABLE_MAIN, "0.0.0.0/0", "10.0.0.1") // the other port's, as if this one was not there
	})
	ports[0].Unwired = false
	if err := Attach(ports[0], nil, netnsPath); err != nil {
		t.Fatal(err)
	}
	in(t, ns, func() { wantAddresses(t, link(t, "eth0"), "10.0.0.5/24", "fd00:1::5/64") })
	if err := Leave(ports, netnsPath); err != nil {
		t.Fatal(err)
	}
}

// TestNeighbours: a container's interfaces take modestly of the tables that all share.
func TestNeighbours(t *testing.T) {
	networktest.Own(t)
	ns := sandbox(t)
	if err := Attach(dualStack(), nil, ns); err != nil {
		t.Fatal(err)
	}
	in(t, ns, func() {
		for setting, most := range map[string]int{"retrans_time_ms": 333, "unres_qlen_bytes": 16384, "gc_stale_time": 15} {
			for _, family := range []string{"ipv4", "ipv6"} {
				text, err := os.ReadFile("/proc/sys/net/" + family + "/neigh/eth0/" + setting)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil || got > most {
					t.Errorf("%s %s is %d, want at most %d: %v", family, setting, got, most, err)
				}
			}
		}
	})
}

func TestAttach(t *testing.T) {
	networktest.Own(t)
	ns, ports := sandbox(t), two()
	for range 2 { // the second time there is nothing to do
		for i := range ports {
			if err := Attach(ports[i], ports[:i], ns); err != nil {
				t.Fatal(err)
			}
		}
	}
	in(t, ns, func() { wantAddresses(t, link(t, "eth2"), "10.0.0.6/24") })
	traffic, err := Statistics(ns)
	if err != nil || len(traffic) != 2 || traffic[0].Name != "eth0" || traffic[1].Name != "eth2" || traffic[1].MAC != ports[1].MAC {
		t.Errorf("got %+v, %v", traffic, err)
	}
}

// TestAPortWithoutIPv6 has no link-local address either, by which it would be reached past Neutron's rules for it.
func TestAPortWithoutIPv6(t *testing.T) {
	networktest.Own(t)
	port := two()[1]
	ns := sandbox(t)
	if err := Attach(port, nil, ns); err != nil {
		t.Fatal(err)
	}
	in(t, ns, func() {
		found, err := netlink.AddrList(link(t, "eth2"), unix.AF_INET6)
		if err != nil || len(found) > 0 {
			t.Errorf("got %v, %v", found, err)
		}
	})
}

func TestSilence(t *testing.T) {
	networktest.Own(t)
	netnsPath, ns, ports := filepath.Join(t.TempDir(), "held"), sandbox(t), two()
	if err := Join(ports, ns, netnsPath); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := LinksDown(ports, ns); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, func() bool { return link(t, ports[0].Tap()).Attrs().OperState != netlink.OperUp })
	for range 2 {
		if err := LinksUp(ports, ns); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, func() bool { return link(t, ports[0].Tap()).Attrs().OperState == netlink.OperUp })
	in(t, ns, func() {
		wantAddresses(t, link(t, "eth0"), "10.0.0.5/24", "fd00:1::5/64")
		wantRoute(t, unix.RT_TABLE_MAIN, "0.0.0.0/0", "10.0.0.1")
		wantRoute(t, unix.RT_TABLE_MAIN, "::/0", "fd00:1::1")
		wantOwnRoutes(t, link(t, "eth2"), "10.0.0.6/32", "10.0.0.0/24", "10.0.0.1")
	})
	if err := Leave(ports, netnsPath); err != nil {
		t.Fatal(err)
	}
}

func TestJoinAnnounces(t *testing.T) {
	networktest.Own(t)
	port := dualStack()
	plug(t, port)
	hears := arpOn(t, link(t, port.Tap()))
	if err := Attach(port, nil, sandbox(t)); err != nil {
		t.Fatal(err)
	}
	if !hears("10.0.0.5") {
		t.Error("nobody heard that 10.0.0.5 is here")
	}
}

// TestJoinThatFails leaves no port in the container, and each with its veth pair.
func TestJoinThatFails(t *testing.T) {
	networktest.Own(t)
	netnsPath, ports := filepath.Join(t.TempDir(), "held"), two()
	ports[1].Subnets[0].Routes = []Route{{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParseAddr("224.0.0.1")}}
	err := Join(ports, sandbox(t), netnsPath)
	if err == nil || !strings.Contains(err.Error(), "192.168.0.0/16") || !strings.Contains(err.Error(), otherID) {
		t.Errorf("a route via no neighbour: %v", err)
	}
	wantPlugged(t, ports[0])
	if _, err := os.Stat(netnsPath); !os.IsNotExist(err) {
		t.Errorf("the namespace is held: %v", err)
	}
	if err := Attach(ports[0], nil, "/run/no-such-namespace"); err == nil {
		t.Error("got no error")
	}
}

// TestAHolderThatHoldsNothing: whoever made it was killed before he mounted the namespace.
func TestAHolderThatHoldsNothing(t *testing.T) {
	networktest.Own(t)
	netnsPath := filepath.Join(t.TempDir(), "held")
	if err := os.WriteFile(netnsPath, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Join(two(), sandbox(t), netnsPath); err != nil {
		t.Fatal(err)
	}
	if err := Leave(two(), netnsPath); err != nil {
		t.Fatal(err)
	}
}

// TestTheHostHasNoAddressInABridge: a tenant would reach the host by it.
func TestTheHostHasNoAddressInABridge(t *testing.T) {
	networktest.Own(t)
	plug(t, dualStack())
	found, err := netlink.AddrList(link(t, bridge), unix.AF_UNSPEC)
	if err != nil || len(found) > 0 {
		t.Errorf("got %v, %v", found, err)
	}
}

// TestTheHostIsNotReachedByAVethPair that someone takes out of its bridge.
func TestTheHostIsNotReachedByAVethPair(t *testing.T) {
	networktest.Own(t)
	port := dualStack()
	plug(t, port)
	if err := Attach(port, nil, sandbox(t)); err != nil {
		t.Fatal(err)
	}
	tap := link(t, port.Tap())
	if err := netlink.LinkSetNoMaster(tap); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return link(t, port.Tap()).Attrs().OperState == netlink.OperUp })
	found, err := netlink.AddrList(tap, unix.AF_UNSPEC)
	if err != nil || len(found) > 0 {
		t.Errorf("got addresses %v, %v", found, err)
	}
	for setting, want := range map[string]string{"ipv4/conf/%s/rp_filter": "1", "ipv4/conf/%s/arp_ignore": "8", "ipv6/conf/%s/disable_ipv6": "1"} {
		text, err := os.ReadFile("/proc/sys/net/" + fmt.Sprintf(setting, port.Tap()))
		if got := strings.TrimSpace(string(text)); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %q", setting, got, err, want)
		}
	}
}

// TestABridgeOfTheHostsOwn, as Neutron's agent makes it of a host's only interface: the host keeps its address in it.
func TestABridgeOfTheHostsOwn(t *testing.T) {
	for address, kept := range map[string]bool{"192.0.2.1/24": true, "2001:db8::1/64": true, "fe80::1/64": false} {
		networktest.Own(t)
		attrs := netlink.NewLinkAttrs()
		attrs.Name = bridge
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(link(t, bridge)); err != nil {
			t.Fatal(err)
		}
		own, err := netlink.ParseAddr(address)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.AddrAdd(link(t, bridge), own); err != nil {
			t.Fatal(err)
		}
		plug(t, dualStack())
		found, err := netlink.AddrList(link(t, bridge), unix.AF_UNSPEC)
		there := slices.ContainsFunc(found, func(a netlink.Addr) bool { return a.IPNet.String() == address })
		if err != nil || there != kept {
			t.Errorf("%s: got %v, %v", address, found, err)
		}
	}
}

// TestTheHostsAddressComesLater: for the first port of a physical network the bridge is made here, and then Neutron's agent
// moves the addresses of the host's interface into it. The host goes on answering for them.
func TestTheHostsAddressComesLater(t *testing.T) {
	networktest.Own(t)
	port := dualStack()
	port.Physical = true
	plug(t, port)
	wantNoAddress(t, bridge)
	wantSettings(t, "of a bridge without an address", map[string]string{
		"ipv4/conf/" + bridge + "/rp_filter": "1", "ipv4/conf/" + bridge + "/arp_ignore": "1", "ipv6/conf/" + bridge + "/accept_ra": "0",
		"ipv6/conf/" + bridge + "/autoconf": "0", "ipv6/conf/" + bridge + "/addr_gen_mode": "1",
	})
	addAddresses(t, bridge, "192.0.2.1/24", "2001:db8::1/64")
	plug(t, port)
	wantAddresses(t, link(t, bridge), "192.0.2.1/24", "2001:db8::1/64")
	wantSettings(t, "of a bridge with the host's", defaults(t, bridge))
}

// TestWhatAnEarlierReleaseLeft: a bridge that it had cut off from the host answers again when the host's address is in it.
func TestWhatAnEarlierReleaseLeft(t *testing.T) {
	networktest.Own(t)
	port := dualStack()
	plug(t, port)
	if err := keepFromHost(bridge); err != nil {
		t.Fatal(err)
	}
	addAddresses(t, bridge, "192.0.2.1/24")
	plug(t, port)
	wantSettings(t, "of a bridge with the host's", defaults(t, bridge))
}

// TestAnEarlierReleasesBridgeOfAPhysicalNetwork takes the host's addresses when Neutron's agent moves them in.
func TestAnEarlierReleasesBridgeOfAPhysicalNetwork(t *testing.T) {
	networktest.Own(t)
	port := dualStack()
	plug(t, port)
	if err := keepFromHost(bridge); err != nil {
		t.Fatal(err)
	}
	port.Physical = true
	plug(t, port)
	wantNoAddress(t, bridge)
	addAddresses(t, bridge, "2001:db8::1/64")
	plug(t, port)
	wantSettings(t, "of a bridge with the host's", defaults(t, bridge))
}

// TestNeutronsBridgeOfAPhysicalNetwork has no address of the host's, not even the one that the kernel made.
func TestNeutronsBridgeOfAPhysicalNetwork(t *testing.T) {
	networktest.Own(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridge
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		t.Fatal(err)
	}
	addAddresses(t, bridge, "fe80::1/64")
	port := dualStack()
	port.Physical = true
	plug(t, port)
	wantNoAddress(t, bridge)
}

func wantNoAddress(t *testing.T, name string) {
	t.Helper()
	if found, err := netlink.AddrList(link(t, name), unix.AF_UNSPEC); err != nil || len(found) > 0 {
		t.Errorf("%s has %v, %v", name, found, err)
	}
}

func addAddresses(t *testing.T, name string, addresses ...string) {
	t.Helper()
	for _, text := range addresses {
		address, err := netlink.ParseAddr(text)
		if err != nil {
			t.Fatal(err)
		}
		address.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link(t, name), address); err != nil {
			t.Fatalf("add %s to %s: %v", text, name, err)
		}
	}
}

func setting(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/net/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func wantSettings(t *testing.T, what string, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := setting(t, name); got != value {
			t.Errorf("%s %s is %s, want %s", name, what, got, value)
		}
	}
}

// defaults are the settings that a link has of which nobody has set any.
func defaults(t *testing.T, name string) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, of := range []string{
		"ipv4/conf/%s/rp_filter", "ipv4/conf/%s/arp_ignore", "ipv6/conf/%s/accept_ra", "ipv6/conf/%s/autoconf",
		"ipv6/conf/%s/addr_gen_mode", "ipv6/conf/%s/disable_ipv6",
	} {
		values[fmt.Sprintf(of, name)] = setting(t, fmt.Sprintf(of, "default"))
	}
	return values
}

// arpOn listens at the host's end of a veth pair. What it returns tells whether an address is announced there.
func arpOn(t *testing.T, tap netlink.Link) func(address string) bool {
	t.Helper()
	protocol := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL)) // of ARP alone the bridge would take what comes
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, int(protocol))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(socket) })
	if err := unix.Bind(socket, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: tap.Attrs().Index}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		t.Fatal(err)
	}
	return func(address string) bool {
		frame := make([]byte, 1500)
		for {
			length, _, err := unix.Recvfrom(socket, frame, 0)
			if err != nil {
				return false
			}
			arp := length >= 42 && binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_ARP
			if arp && net.IP(frame[28:32]).String() == address { // the sender's
				return true
			}
		}
	}
}

func wantAddresses(t *testing.T, link netlink.Link, want ...string) {
	t.Helper()
	found, err := netlink.AddrList(link, unix.AF_UNSPEC)
	if err != nil {
		t.Error(err)
	}
	var got []string
	for _, address := range found {
		if !address.IP.IsLinkLocalUnicast() {
			got = append(got, address.IPNet.String())
		}
		if address.Flags&unix.IFA_F_TENTATIVE != 0 && !address.IP.IsLinkLocalUnicast() {
			t.Errorf("%s cannot be used yet", address.IPNet)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got addresses %q, want %q", got, want)
	}
}

func wantRoute(t *testing.T, table int, to, via string) {
	t.Helper()
	found, err := netlink.RouteListFiltered(unix.AF_UNSPEC, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
	if err != nil {
		t.Error(err)
	}
	for _, route := range found {
		if fmt.Sprint(route.Dst) == to && route.Gw.String() == via {
			return
		}
	}
	t.Errorf("table %d has no route to %s via %s but %v", table, to, via, found)
}

func wantOwnRoutes(t *testing.T, link netlink.Link, from, subnet, gateway string) {
	t.Helper()
	table := ownTables + link.Attrs().Index
	wantRoute(t, table, subnet, "<nil>")
	wantRoute(t, table, "0.0.0.0/0", gateway)
	rules, err := netlink.RuleList(unix.AF_INET)
	if err != nil || !slices.ContainsFunc(rules, func(rule netlink.Rule) bool {
		return rule.Src != nil && rule.Src.String() == from && rule.Table == table
	}) {
		t.Errorf("no rule for what %s sends: %v, %v", from, rules, err)
	}
}
