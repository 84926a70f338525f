package network

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// sandbox is this thread's network, as Docker would name a container's.
func sandbox() string { return fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()) }

func extra() Port {
	return Port{ID: portID, MAC: mac, Bridge: bridge, Extra: Extra{
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.5/24"), netip.MustParsePrefix("fd00:2::5/64")},
		Routes:    []Route{{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParseAddr("10.1.0.9")}},
		Apart:     []Apart{{netip.MustParsePrefix("10.0.0.6/24"), netip.MustParseAddr("10.0.0.1")}},
	}}
}

// joined makes a cable whose end here is as Docker leaves it in a container, but for what is extra.
func joined(t *testing.T, port Port) netlink.Link {
	t.Helper()
	plug(t, port)
	inside := link(t, port.peer())
	hardware, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetHardwareAddr(inside, hardware); err != nil {
		t.Fatal(err)
	}
	return inside
}

func TestSettle(t *testing.T) {
	ownNetwork(t)
	port := extra()
	inside := joined(t, port)
	if done, err := Settle(port, sandbox()); done || err != nil {
		t.Errorf("an interface that is down: %v, %v", done, err)
	}
	if err := netlink.LinkSetUp(inside); err != nil {
		t.Fatal(err)
	}
	hears := arpOn(t, link(t, port.Tap()))
	for range 2 {
		if done, err := Settle(port, sandbox()); !done || err != nil {
			t.Fatalf("got %v, %v", done, err)
		}
	}
	for _, address := range []string{"10.1.0.5", "10.0.0.6"} {
		if !hears(address) {
			t.Errorf("nobody heard that %s is here", address)
		}
	}
	wantAddresses(t, inside, "10.1.0.5/24", "fd00:2::5/64", "10.0.0.6/24")
	wantRoute(t, unix.RT_TABLE_MAIN, "192.168.0.0/16", "10.1.0.9")
	wantRoute(t, ownTables+inside.Attrs().Index, "10.0.0.0/24", "<nil>")
	wantRoute(t, ownTables+inside.Attrs().Index, "0.0.0.0/0", "10.0.0.1")
	rules, err := netlink.RuleList(unix.AF_INET)
	if err != nil || !slices.ContainsFunc(rules, func(rule netlink.Rule) bool {
		return rule.Src != nil && rule.Src.String() == "10.0.0.6/32" && rule.Table == ownTables+inside.Attrs().Index
	}) {
		t.Errorf("no rule for what the second address sends: %v, %v", rules, err)
	}
}

// arpOn listens at the host's end of a cable. What it returns tells whether an address is announced there.
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
	heard := map[string]bool{}
	return func(address string) bool {
		frame := make([]byte, 1500)
		for !heard[address] {
			length, _, err := unix.Recvfrom(socket, frame, 0)
			if err != nil {
				return false
			}
			if length >= 42 && binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_ARP { // the sender's address is at 28
				heard[net.IP(frame[28:32]).String()] = true
			}
		}
		return true
	}
}

func wantAddresses(t *testing.T, link netlink.Link, want ...string) {
	t.Helper()
	found, err := netlink.AddrList(link, unix.AF_UNSPEC)
	if err != nil {
		t.Fatal(err)
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
	found, err := netlink.RouteListFiltered(unix.AF_INET, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range found {
		if fmt.Sprint(route.Dst) == to && route.Gw.String() == via {
			return
		}
	}
	t.Errorf("table %d has no route to %s via %s but %v", table, to, via, found)
}

// TestSettleWaits: it is asked before Docker has made the namespace, and where it is to be mounted.
func TestSettleWaits(t *testing.T) {
	ownNetwork(t)
	empty := filepath.Join(t.TempDir(), "sandbox")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{empty + "-none", empty, sandbox()} {
		if done, err := Settle(extra(), name); done || err != nil {
			t.Errorf("%s: got %v, %v", name, done, err)
		}
	}
}

func TestSettleFails(t *testing.T) {
	ownNetwork(t)
	port := extra()
	port.Extra.Routes[0].Via = netip.MustParseAddr("10.1.0.5")
	if err := netlink.LinkSetUp(joined(t, port)); err != nil {
		t.Fatal(err)
	}
	if done, err := Settle(port, sandbox()); done || err == nil || !strings.Contains(err.Error(), "192.168.0.0/16") {
		t.Errorf("a route via its own address: %v, %v", done, err)
	}
}
