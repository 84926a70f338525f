package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// Kernel says what a host's kernel lacks for Neutron's ports. The zero value lacks nothing.
type Kernel struct{ NoIPv6 bool }

// KernelAt inspects a tree like /proc. A kernel that was booted with ipv6.disable=1 has no settings of IPv6 and accepts no
// address of it. IPv6 that is switched off by sysctl does not count: it is switched on for each interface that Neutron has an
// address for.
func KernelAt(proc string) Kernel {
	_, err := os.Stat(filepath.Join(proc, "sys/net/ipv6/conf"))
	return Kernel{NoIPv6: errors.Is(err, fs.ErrNotExist)}
}

// Lacks returns what servers go without on this kernel, a sentence each.
func (k Kernel) Lacks() []string {
	if !k.NoIPv6 {
		return nil
	}
	return []string{noIPv6 + ": servers go without the IPv6 addresses of their ports, and a port that has no others is refused"}
}

const noIPv6 = "this host's kernel has no IPv6 (as with ipv6.disable=1 in its command line)"

// leastIPv6 is the MTU below which Linux has no IPv6 on an interface.
const leastIPv6 = 1280

// A Loss is an error: the addresses that a port goes without on this host.
type Loss struct {
	Port      string
	Addresses []netip.Prefix
	Whole     bool // no other address is left
	Anywhere  bool // it would go without them on each host
	reason    string
}

func (l *Loss) Error() string {
	var names []string
	for _, address := range l.Addresses {
		names = append(names, address.Addr().String())
	}
	if l.Whole {
		return fmt.Sprintf("port %s has IPv6 addresses alone (%s), and %s", l.Port, strings.Join(names, ", "), l.reason)
	}
	return fmt.Sprintf("port %s goes without %s: %s", l.Port, strings.Join(names, ", "), l.reason)
}

// Fit returns the ports without the addresses that this kernel cannot have, and what was left out.
func (k Kernel) Fit(ports []Port) (fitting []Port, losses []*Loss) {
	for _, port := range ports {
		fits, loss := k.fit(port)
		fitting = append(fitting, fits)
		if loss != nil {
			losses = append(losses, loss)
		}
	}
	return fitting, losses
}

// fit is Fit for one port.
func (k Kernel) fit(port Port) (Port, *Loss) {
	loss := &Loss{Port: port.ID, Whole: true}
	switch {
	case port.MTU != 0 && port.MTU < leastIPv6:
		loss.Anywhere, loss.reason = true, fmt.Sprintf("its MTU of %d is below the %d that IPv6 needs", port.MTU, leastIPv6)
	case k.NoIPv6:
		loss.reason = noIPv6
	default:
		return port, nil
	}
	subnets := port.Subnets
	port.Subnets = nil
	for _, subnet := range subnets {
		left, lost := subnet.withoutIPv6()
		loss.Whole = loss.Whole && len(left.Addresses) == 0
		loss.Addresses = append(loss.Addresses, lost...)
		if len(lost) == 0 || len(left.Addresses) > 0 {
			port.Subnets = append(port.Subnets, left)
		}
	}
	if len(loss.Addresses) == 0 {
		loss = nil
	}
	return port, loss
}

func (s Subnet) withoutIPv6() (left Subnet, lost []netip.Prefix) {
	for _, address := range s.Addresses {
		if address.Addr().Is4() {
			left.Addresses = append(left.Addresses, address)
		} else {
			lost = append(lost, address)
		}
	}
	if s.Gateway.Is4() {
		left.Gateway = s.Gateway
	}
	for _, route := range s.Routes {
		if route.To.Addr().Is4() {
			left.Routes = append(left.Routes, route)
		}
	}
	for _, dns := range s.DNS {
		if dns.Is4() {
			left.DNS = append(left.DNS, dns)
		}
	}
	return left, lost
}
