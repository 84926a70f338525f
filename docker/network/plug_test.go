package network

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ndock/docker/network/networktest"
)

func link(t *testing.T, name string) netlink.Link {
	t.Helper()
	found, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatalf("link %s: %v", name, err)
	}
	return found
}

func wantNoLink(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if found, err := find(name); found != nil || err != nil {
			t.Errorf("link %s is there: %v, %v", name, found, err)
		}
	}
}

func plug(t *testing.T, port Port) {
	t.Helper()
	if err := Plug(port); err != nil {
		t.Fatal(err)
	}
}

func wantPlugged(t *testing.T, port Port) {
	t.Helper()
	tap, peer, bridge := link(t, port.Tap()).Attrs(), link(t, port.peer()).Attrs(), link(t, port.Bridge).Attrs()
	if tap.MasterIndex != bridge.Index {
		t.Errorf("the tap is in link %d, want bridge %d", tap.MasterIndex, bridge.Index)
	}
	if tap.MTU != port.MTU || peer.MTU != port.MTU {
		t.Errorf("got MTUs %d and %d, want %d", tap.MTU, peer.MTU, port.MTU)
	}
	if tap.RawFlags&unix.IFF_UP == 0 || bridge.RawFlags&unix.IFF_UP == 0 {
		t.Error("the tap or the bridge is not up")
	}
	if tap.ParentIndex != peer.Index {
		t.Error("the two are no veth pair")
	}
}

func TestPlugAndUnplug(t *testing.T) {
	networktest.Own(t)
	port := dualStack()
	plug(t, port)
	wantPlugged(t, port)
	first := link(t, port.Tap()).Attrs().Index
	plug(t, port)
	wantPlugged(t, port)
	if again := link(t, port.Tap()).Attrs().Index; again != first {
		t.Errorf("the veth pair was made again: %d, then %d", first, again)
	}
	for range 2 {
		if err := Unplug(port); err != nil {
			t.Fatal(err)
		}
		wantNoLink(t, port.Tap(), port.peer())
	}
	link(t, port.Bridge) // Neutron's agent has other ports in it, and removes it itself
}

func TestPlugUsesNeutronsBridge(t *testing.T) {
	networktest.Own(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridge
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(link(t, bridge)); err != nil {
		t.Fatal(err)
	}
	before := link(t, bridge).Attrs().Index
	plug(t, dualStack())
	wantPlugged(t, dualStack())
	if after := link(t, bridge).Attrs().Index; after != before {
		t.Error("the bridge was made anew")
	}
}

func TestPlugMovesATapToItsBridge(t *testing.T) {
	networktest.Own(t)
	port := dualStack()
	port.Bridge = "brq-another"
	plug(t, port)
	plug(t, dualStack())
	wantPlugged(t, dualStack())
}

func TestPlugWithoutMTU(t *testing.T) {
	networktest.Own(t)
	port := dualStack()
	port.MTU = 0
	plug(t, port)
	port.MTU = 1500 // the kernel's own
	wantPlugged(t, port)
}

// TestPlugOfARunningContainer: the other end is in the container then, and stays there.
func TestPlugOfARunningContainer(t *testing.T) {
	networktest.Own(t)
	port := dualStack()
	plug(t, port)
	container := networktest.Another(t)
	if err := netlink.LinkSetNsFd(link(t, port.peer()), int(container.Fd())); err != nil {
		t.Fatal(err)
	}
	before := link(t, port.Tap()).Attrs().Index
	plug(t, port)
	if after := link(t, port.Tap()).Attrs().Index; after != before {
		t.Error("the veth pair was made again")
	}
	wantNoLink(t, port.peer())

	// The container goes, with its end: then so does the tap, and the next start makes both.
	container.Close()
	wait(t, func() bool { tap, err := find(port.Tap()); return tap == nil && err == nil })
	plug(t, port)
	wantPlugged(t, port)
}

// wait for what the kernel does in its own time.
func wait(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}

// TestLinksThatAreNotThePorts: Nova can name any port. A link of that name which another has, a virtual machine, a router
// or another server, is neither taken nor removed.
func TestLinksThatAreNotThePorts(t *testing.T) {
	const tap, bridgeEnd = "tap3f6a0b1c-d2", "qvb3f6a0b1c-d2"
	state := t.TempDir()
	other := filepath.Join(state, "another")
	if err := SetPorts(other, []Port{dualStack()}); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		kind Kind
		make func() netlink.Link
	}{
		"a bridge":                 {LinuxBridge, func() netlink.Link { return foreign(t, &netlink.Bridge{}, tap, "") }},
		"another program's":        {LinuxBridge, func() netlink.Link { return foreign(t, &netlink.Bridge{}, tap, "of Alice") }},
		"a veth pair of another's": {LinuxBridge, func() netlink.Link { return foreign(t, &netlink.Veth{PeerName: "eth9"}, tap, "") }},
		"another server's": {LinuxBridge, func() netlink.Link {
			return foreign(t, &netlink.Veth{PeerName: "ndk3f6a0b1c-d2"}, tap, aliasMark+other)
		}},
		"a pair that another has just made": {LinuxBridge, func() netlink.Link {
			return foreign(t, &netlink.Veth{PeerName: "ndk3f6a0b1c-d2"}, tap, "")
		}},
		"a virtual machine's, just made": {Hybrid, func() netlink.Link {
			return foreign(t, &netlink.Veth{PeerName: "qvo3f6a0b1c-d2"}, bridgeEnd, "")
		}},
		"a bridge of the group": {LinuxBridge, func() netlink.Link {
			return foreign(t, &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Group: madeByNdock}}, tap, "")
		}},
		"a virtual machine's, hybrid": {Hybrid, func() netlink.Link {
			return inBridge(t, foreign(t, &netlink.Veth{PeerName: "qvo3f6a0b1c-d2"}, bridgeEnd, ""))
		}},
	} {
		networktest.Own(t)
		before := link(t, test.make().Attrs().Name).Attrs()
		port := dualStack()
		port.Dir, port.Kind = filepath.Join(state, "mine"), test.kind
		if err := Plug(port); err == nil || !strings.Contains(err.Error(), before.Name) {
			t.Errorf("%s: got %v", name, err)
		}
		port.Kind = LinuxBridge // no Open vSwitch is asked
		if err := Unplug(port); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		after := link(t, before.Name).Attrs()
		if after.Index != before.Index || after.Alias != before.Alias || after.MasterIndex != before.MasterIndex {
			t.Errorf("%s: %+v became %+v", name, before, after)
		}
		if before.MasterIndex != 0 {
			link(t, port.ownBridge())
		}
	}
}

// TestLinksThatBecomeThePorts: what a killed agent has not marked yet, also when Open vSwitch has taken it, as it does where it
// had the port before the host was restarted; and what no server has any more.
func TestLinksThatBecomeThePorts(t *testing.T) {
	state := t.TempDir()
	for name, test := range map[string]struct {
		alias    string
		inBridge bool
	}{
		"not marked":              {"", false},
		"not marked, in a bridge": {"", true},
		"an orphan":               {aliasMark + filepath.Join(state, "gone"), false},
	} {
		networktest.Own(t)
		port := dualStack()
		port.Dir = filepath.Join(state, "mine")
		var made netlink.Link
		if made = foreign(t, &netlink.Veth{PeerName: port.peer()}, port.Tap(), test.alias); test.alias == "" {
			made = killed(t, port.Tap(), port.peer(), port)
		}
		if test.inBridge {
			made = inBridge(t, made)
		}
		before := made.Attrs().Index
		plug(t, port)
		if after := link(t, port.Tap()).Attrs(); after.Index != before || after.Alias != port.alias() {
			t.Errorf("%s: got %+v", name, after)
		}
		if err := Unplug(port); err != nil {
			t.Error(err)
		}
		wantNoLink(t, port.Tap())
	}
}

// TestHybridPairsOfAKilledAgent are the port's, also where Open vSwitch has taken the one end and the bridge the other.
func TestHybridPairsOfAKilledAgent(t *testing.T) {
	for name, ends := range map[string][]string{
		"just made": {}, "taken by Open vSwitch": {"qvo3f6a0b1c-d2"}, "in its bridge": {"qvb3f6a0b1c-d2"}, "in both": {"qvo3f6a0b1c-d2", "qvb3f6a0b1c-d2"},
	} {
		networktest.Own(t)
		port := dualStack()
		port.Dir = filepath.Join(t.TempDir(), "mine")
		before := killed(t, port.bridgeEnd(), port.vswitchEnd(), port).Attrs().Index
		for i, end := range ends {
			if err := netlink.LinkSetMaster(link(t, end), foreign(t, &netlink.Bridge{}, fmt.Sprintf("br%d", i), "")); err != nil {
				t.Fatal(err)
			}
		}
		got, err := ensureVeth(port.bridgeEnd(), port.vswitchEnd(), port)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if attrs := link(t, port.bridgeEnd()).Attrs(); got.Attrs().Index != before || attrs.Alias != port.alias() {
			t.Errorf("%s: got %+v", name, attrs)
		}
	}
}

// killed makes a pair as an agent does that is killed before it has marked it.
func killed(t *testing.T, name, peer string, port Port) netlink.Link {
	t.Helper()
	if err := remove(name); err != nil {
		t.Fatal(err)
	}
	made, fresh, err := makeVeth(name, peer, port)
	if err != nil || !fresh || made.Attrs().Alias != "" {
		t.Fatalf("got %v, %v", made, err)
	}
	return made
}

// TestInterfacesOfOpenVSwitch that a port may take: Neutron and OVN know them by iface-id.
func TestInterfacesOfOpenVSwitch(t *testing.T) {
	state, port := t.TempDir(), dualStack()
	port.Dir = filepath.Join(state, "mine")
	other := filepath.Join(state, "another")
	for _, dir := range []string{port.Dir, other} {
		if err := SetPorts(dir, []Port{port}); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		ids  map[any]any
		want bool
	}{
		"its own":                   {map[any]any{"iface-id": portID, ovsMark: port.Dir}, true},
		"an orphan":                 {map[any]any{"iface-id": portID, ovsMark: filepath.Join(state, "gone")}, true},
		"another server's":          {map[any]any{"iface-id": portID, ovsMark: other}, false},
		"a virtual machine's":       {map[any]any{"iface-id": portID}, false},
		"another port's":            {map[any]any{"iface-id": otherID, ovsMark: port.Dir}, false},
		"nobody's that ndock knows": {nil, false},
	} {
		row := ovsdb.Row{"external_ids": ovsdb.OvsMap{GoMap: test.ids}}
		if got, err := isRowOf(row, port.Tap(), port); err != nil || got != test.want {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

// Where Open vSwitch does not run, or was killed and has left its socket, orphans are looked for all the same.
func TestPluggedWithoutOpenVSwitch(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	for _, socket := range []string{stale, filepath.Join(dir, "none.sock")} {
		if err := pluggedInVSwitch(socket, map[string]Port{}, dir); err != nil {
			t.Errorf("%s: %v", filepath.Base(socket), err)
		}
	}
}

// foreign is a link that ndock did not make, or another server's.
func foreign(t *testing.T, made netlink.Link, name, alias string) netlink.Link {
	t.Helper()
	made.Attrs().Name, made.Attrs().TxQLen = name, -1
	if err := netlink.LinkAdd(made); err != nil {
		t.Fatal(err)
	}
	if alias != "" {
		if err := netlink.LinkSetAlias(made, alias); err != nil {
			t.Fatal(err)
		}
	}
	return link(t, name)
}

// inBridge puts a link where Nova has those of virtual machines.
func inBridge(t *testing.T, end netlink.Link) netlink.Link {
	t.Helper()
	if err := netlink.LinkSetMaster(end, foreign(t, &netlink.Bridge{}, "qbr"+end.Attrs().Name[3:], "")); err != nil {
		t.Fatal(err)
	}
	return end
}

func TestUnplugRefusesWhatIsNoPort(t *testing.T) {
	for _, id := range []string{"", "eth0", "3f6a0b1c-d"} {
		if err := Unplug(Port{ID: id}); err == nil {
			t.Errorf("%q: was unplugged", id)
		}
	}
}

// TestABridgeKeepsItsMAC, which is the lowest of its links' where nobody has set it: with another the host could not be
// reached for a while, whose address is in it.
func TestABridgeKeepsItsMAC(t *testing.T) {
	networktest.Own(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridge
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		t.Fatal(err)
	}
	for of, want := range map[string]string{mac: "fe:16:3e:01:02:03", "fe:16:3e:01:02:03": "fe:96:3e:01:02:03"} { // never fa:16:3e: another port's
		port := dualStack()
		port.MAC = of
		plug(t, port)
		if got := link(t, port.Tap()).Attrs().HardwareAddr.String(); got != want {
			t.Errorf("the host's end has MAC %s, want %s", got, want)
		}
		if got := link(t, port.peer()).Attrs().HardwareAddr.String(); got != of {
			t.Errorf("the container's end has MAC %s, want %s", got, of)
		}
		if err := Unplug(port); err != nil {
			t.Fatal(err)
		}
	}
}
