package network

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ownNetwork gives the rest of the test a network of its own. Its thread is never unlocked: it ends with the test,
// and so does the network. Tests that use it run no subtests, which would be on another thread.
func ownNetwork(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can make links")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
}

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
		t.Error("the two are no cable")
	}
}

func TestPlugAndUnplug(t *testing.T) {
	ownNetwork(t)
	port := dualStack()
	plug(t, port)
	wantPlugged(t, port)
	first := link(t, port.Tap()).Attrs().Index
	plug(t, port)
	wantPlugged(t, port)
	if again := link(t, port.Tap()).Attrs().Index; again != first {
		t.Errorf("the cable was made anew: %d, then %d", first, again)
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
	ownNetwork(t)
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
	ownNetwork(t)
	port := dualStack()
	port.Bridge = "brq-another"
	plug(t, port)
	plug(t, dualStack())
	wantPlugged(t, dualStack())
}

func TestPlugWithoutMTU(t *testing.T) {
	ownNetwork(t)
	port := dualStack()
	port.MTU = 0
	plug(t, port)
	port.MTU = 1500 // the kernel's own
	wantPlugged(t, port)
}

// TestPlugOfARunningContainer: the other end is in the container then, and stays there.
func TestPlugOfARunningContainer(t *testing.T) {
	ownNetwork(t)
	port := dualStack()
	plug(t, port)
	container := anotherNetwork(t)
	if err := netlink.LinkSetNsFd(link(t, port.peer()), int(container.Fd())); err != nil {
		t.Fatal(err)
	}
	before := link(t, port.Tap()).Attrs().Index
	plug(t, port)
	if after := link(t, port.Tap()).Attrs().Index; after != before {
		t.Error("the cable was made anew")
	}
	wantNoLink(t, port.peer())

	// The container goes, with its end: then so does the tap, and the next start makes both.
	container.Close()
	wait(t, func() bool { tap, err := find(port.Tap()); return tap == nil && err == nil })
	plug(t, port)
	wantPlugged(t, port)
}

// anotherNetwork is a container's, as long as the file is open.
func anotherNetwork(t *testing.T) *os.File {
	t.Helper()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	other, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	return other
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

func TestUnplugRefusesWhatIsNoPort(t *testing.T) {
	for _, id := range []string{"", "eth0", "3f6a0b1c-d"} {
		if err := Unplug(Port{ID: id}); err == nil {
			t.Errorf("%q: was unplugged", id)
		}
	}
}
