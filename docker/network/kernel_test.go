package network

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"

	"ndock/docker/network/networktest"
)

func TestKernelAt(t *testing.T) {
	proc := t.TempDir()
	if err := os.MkdirAll(filepath.Join(proc, "sys/net/ipv4/conf"), 0o700); err != nil {
		t.Fatal(err)
	}
	if kernel := KernelAt(proc); !kernel.NoIPv6 || len(kernel.Lacks()) != 1 {
		t.Errorf("without IPv6: got %+v, which lacks %q", kernel, kernel.Lacks())
	}
	if err := os.MkdirAll(filepath.Join(proc, "sys/net/ipv6/conf"), 0o700); err != nil {
		t.Fatal(err)
	}
	if kernel := KernelAt(proc); kernel.NoIPv6 || len(kernel.Lacks()) != 0 {
		t.Errorf("with IPv6: got %+v, which lacks %q", kernel, kernel.Lacks())
	}
}

func TestFit(t *testing.T) {
	const (
		without = "this host's kernel has no IPv6 (as with ipv6.disable=1 in its command line)"
		v4, v6  = "10.0.0.5/24", "fd00:1::5/64"
	)
	routed := on(v4, "10.0.0.1", v6, "fd00:1::1")
	routed.Subnets[0].DNS = addrs("fd00:1::2", "10.0.0.2")
	routed.Subnets[1].Routes = []Route{{prefix("fd00:2::/64"), addr("fd00:1::9")}}
	fitting := on(v4, "10.0.0.1")
	fitting.Subnets[0].DNS = addrs("10.0.0.2")
	small, large := on(v4, "", v6, ""), on(v4, "", v6, "")
	small.MTU, large.MTU = 1279, 1280
	smallV6 := on(v6, "")
	smallV6.MTU = 576
	for name, test := range map[string]struct {
		kernel Kernel
		port   Port
		want   string // where it is not whole
		says   string
		whole  bool
	}{
		"dual stack":                 {Kernel{NoIPv6: true}, routed, v4, "port  goes without fd00:1::5: " + without, false},
		"IPv6 alone":                 {Kernel{NoIPv6: true}, on(v6, ""), "", "port  has IPv6 addresses alone (fd00:1::5), and " + without, true},
		"IPv4 alone":                 {Kernel{NoIPv6: true}, on(v4, ""), v4, "", false},
		"no address":                 {Kernel{NoIPv6: true}, Port{ID: portID}, "", "", false},
		"a kernel with IPv6":         {Kernel{}, routed, v4 + " " + v6, "", false},
		"an MTU of 1279":             {Kernel{}, small, v4, "port  goes without fd00:1::5: its MTU of 1279 is below the 1280 that IPv6 needs", false},
		"an MTU of 576, and v6":      {Kernel{}, smallV6, "", "port  has IPv6 addresses alone (fd00:1::5), and its MTU of 576 is below the 1280 that IPv6 needs", true},
		"an MTU of 576, and no IPv6": {Kernel{NoIPv6: true}, smallV6, "", "port  has IPv6 addresses alone (fd00:1::5), and its MTU of 576 is below the 1280 that IPv6 needs", true},
		"an MTU of 1280":             {Kernel{}, large, v4 + " " + v6, "", false},
	} {
		ports, losses := test.kernel.Fit([]Port{test.port})
		got, says, whole := "", "", false
		for _, subnet := range ports[0].Subnets {
			for _, address := range subnet.Addresses {
				got += " " + address.String()
			}
		}
		for _, loss := range losses {
			says, whole = loss.Error(), loss.Whole
		}
		if got != "" {
			got = got[1:]
		}
		if got != test.want || says != test.says || whole != test.whole {
			t.Errorf("%s: got %q, %q, %t", name, got, says, whole)
		}
	}
	ports, _ := Kernel{NoIPv6: true}.Fit([]Port{routed})
	if !reflect.DeepEqual(ports[0], fitting) {
		t.Errorf("got %+v, want %+v", ports[0], fitting)
	}
}

// TestJoinWithASmallMTU: Linux has no IPv6 on such an interface, and refuses the address as a kernel without IPv6 does.
func TestJoinWithASmallMTU(t *testing.T) {
	networktest.Own(t)
	netnsPath, ns := filepath.Join(t.TempDir(), "held"), sandbox(t)
	small := dualStack()
	small.MTU = 1200
	ports, losses := Kernel{}.Fit([]Port{small})
	if err := Join(ports, ns, netnsPath); err != nil || len(losses) != 1 {
		t.Fatalf("got %v, and without %v", err, losses)
	}
	in(t, ns, func() {
		wantAddresses(t, link(t, "eth0"), "10.0.0.5/24")
		wantRoute(t, unix.RT_TABLE_MAIN, "0.0.0.0/0", "10.0.0.1")
	})
	if err := Leave(ports, netnsPath); err != nil {
		t.Fatal(err)
	}
}

// TestJoinWhereIPv6IsSwitchedOff, by sysctl: it is for the host to have none, and Neutron's to say what servers have.
func TestJoinWhereIPv6IsSwitchedOff(t *testing.T) {
	networktest.Own(t)
	ns, ports := sandbox(t), two()[:1]
	off := func() {
		for _, where := range []string{"all", "default", "lo"} {
			if err := sysctl("ipv6/conf/"+where+"/disable_ipv6", "1"); err != nil {
				t.Fatal(err)
			}
		}
	}
	off()
	in(t, ns, off)
	if err := Attach(ports[0], nil, ns); err != nil {
		t.Fatal(err)
	}
	in(t, ns, func() { wantAddresses(t, link(t, "eth0"), "10.0.0.5/24", "fd00:1::5/64") })
}

// TestJoinOnThisKernel, whatever it lacks.
func TestJoinOnThisKernel(t *testing.T) {
	networktest.Own(t)
	kernel, netnsPath, ns := KernelAt("/proc"), filepath.Join(t.TempDir(), "held"), sandbox(t)
	ports, losses := kernel.Fit(two())
	want := []string{"10.0.0.5/24", "fd00:1::5/64"}
	if kernel.NoIPv6 {
		want = want[:1]
	}
	if err := Join(ports, ns, netnsPath); err != nil || kernel.NoIPv6 != (len(losses) == 1) {
		t.Fatalf("got %v, and without %v", err, losses)
	}
	if err := LinksDown(ports, netnsPath); err != nil {
		t.Error(err)
	}
	if err := LinksUp(ports, netnsPath); err != nil {
		t.Error(err)
	}
	in(t, ns, func() {
		wantAddresses(t, link(t, "eth0"), want...)
		wantRoute(t, unix.RT_TABLE_MAIN, "0.0.0.0/0", "10.0.0.1")
		wantOwnRoutes(t, link(t, "eth2"), "10.0.0.6/32", "10.0.0.0/24", "10.0.0.1")
	})
	if err := Leave(ports, netnsPath); err != nil {
		t.Error(err)
	}
}
