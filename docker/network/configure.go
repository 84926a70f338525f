package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// configure configures the port's peer, in the container's namespace, as Neutron says. It completes what an earlier try left
// half-done.
func configure(link netlink.Link, port Port, routing routing) error {
	if err := setLink(link, port); err != nil {
		return err
	}
	if err := onlyNeutronsIPv6(port.Interface(), routing); err != nil {
		return err
	}
	if err := limitNeighbours(port.Interface()); err != nil {
		return err
	}
	for _, own := range routing.Own {
		if err := own.rule(link); err != nil {
			return err
		}
	}
	return setLinkUp(link, port, routing)
}

// setLinkUp sets the interface up, with its addresses and routes, most of which go when it is set down.
func setLinkUp(link netlink.Link, port Port, routing routing) error {
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set it up: %w", err)
	}
	for _, address := range routing.Addresses {
		if err := addAddress(link, address); err != nil {
			return err
		}
	}
	for _, route := range routing.Routes {
		if err := addRoute(link, route, unix.RT_TABLE_MAIN); err != nil {
			return err
		}
	}
	for _, own := range routing.Own {
		if err := own.routes(link); err != nil {
			return err
		}
	}
	return announce(port)
}

// setLink gives the interface its name, MAC and MTU.
func setLink(link netlink.Link, port Port) error {
	if err := rename(link, port.Interface()); err != nil {
		return err
	}
	mac, err := net.ParseMAC(port.MAC)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetHardwareAddr(link, mac); err != nil {
		return fmt.Errorf("set MAC %s: %w", mac, err)
	}
	if port.MTU == 0 {
		return nil
	}
	if err := netlink.LinkSetMTU(link, port.MTU); err != nil {
		return fmt.Errorf("set MTU %d: %w", port.MTU, err)
	}
	return nil
}

// onlyNeutronsIPv6 disables IPv6 on an interface without addresses of Neutron's, and otherwise what routers advertise:
// addresses and default route are Neutron's, whatever the subnet's modes.
func onlyNeutronsIPv6(name string, routing routing) error {
	conf := "ipv6/conf/" + name + "/"
	settings := map[string]string{conf + "disable_ipv6": "1", conf + "accept_ra": "0", conf + "autoconf": "0"}
	for _, address := range routing.Addresses {
		if address.Addr().Is6() { // Docker switches it off everywhere
			settings[conf+"disable_ipv6"], settings["ipv6/conf/lo/disable_ipv6"] = "0", "0"
		}
	}
	return sysctls(settings)
}

// limitNeighbours bounds what the interface uses of the kernel's neighbour tables, which all servers of this host share. An
// address that does not answer can be removed after a second instead of three, and few packets wait for it. The size of the
// tables themselves can only be set for the whole host.
func limitNeighbours(name string) error {
	settings := map[string]string{}
	for _, family := range []string{"ipv4", "ipv6"} {
		neighbours := family + "/neigh/" + name + "/"
		settings[neighbours+"retrans_time_ms"] = "300" // three tries, as before
		settings[neighbours+"unres_qlen_bytes"] = "16384"
		settings[neighbours+"gc_stale_time"] = "15"
	}
	return sysctls(settings)
}

// sysctls sets several. Those of a family that this kernel does not have are ignored.
func sysctls(settings map[string]string) error {
	for name, value := range settings {
		if err := sysctl(name, value); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// sysctl sets one of the network namespace that this thread is in.
func sysctl(name, value string) error {
	if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644); err != nil {
		return fmt.Errorf("set net/%s to %s: %w", name, value, err)
	}
	return nil
}

// readSysctl reads one, likewise.
func readSysctl(name string) (string, error) {
	value, err := os.ReadFile("/proc/sys/net/" + name)
	if err != nil {
		return "", fmt.Errorf("read net/%s: %w", name, err)
	}
	return strings.TrimSpace(string(value)), nil
}

func addAddress(link netlink.Link, prefix netip.Prefix) error {
	address := &netlink.Addr{IPNet: ipNet(prefix)}
	if prefix.Addr().Is6() {
		address.Flags = unix.IFA_F_NODAD // Neutron gave it, so that it is no one else's
	}
	if err := netlink.AddrAdd(link, address); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("add address %s: %w", prefix, err)
	}
	return nil
}

// rule routes what is sent from the address by the interface's own table.
func (o ownRoutes) rule(link netlink.Link) error {
	rule := netlink.NewRule()
	rule.Family = family(o.Address.Addr())
	rule.Src = ipNet(netip.PrefixFrom(o.Address.Addr(), o.Address.Addr().BitLen()))
	rule.Table = ownTable(link)
	if err := netlink.RuleAdd(rule); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("add a rule for what %s sends: %w", o.Address.Addr(), err)
	}
	// Each interface answers ARP for its own addresses. By default Linux answers for the others' too.
	return errors.Join(sysctl("ipv4/conf/all/arp_ignore", "1"), sysctl("ipv4/conf/all/arp_announce", "2"))
}

func (o ownRoutes) routes(link netlink.Link) error {
	if err := addRoute(link, Route{To: o.Address.Masked()}, ownTable(link)); err != nil || !o.Gateway.IsValid() {
		return err
	}
	return addRoute(link, Route{To: everything(o.Gateway), Via: o.Gateway}, ownTable(link))
}

// ownTables is added to an interface's index for the number of its table; some up to 255 have a meaning.
const ownTables = 1000

func ownTable(link netlink.Link) int { return ownTables + link.Attrs().Index }

// addRoute adds a route, on the link if it goes via nothing. Several addresses of one subnet bring the same route.
func addRoute(link netlink.Link, route Route, table int) error {
	added := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(route.To), Table: table}
	if route.Via.IsValid() {
		added.Gw = route.Via.AsSlice()
		added.SetFlag(netlink.FLAG_ONLINK) // Neutron takes gateways that are outside of their subnet
	} else {
		added.Scope = netlink.SCOPE_LINK
	}
	if err := netlink.RouteAdd(added); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("add a route to %s: %w", route.To, err)
	}
	return nil
}

// announce has the kernel announce the port's addresses, as a machine does that was moved: switches and neighbours remember
// for minutes where it was. The kernel does so when an interface's MAC is set, also to the same one.
func announce(port Port) error {
	name := port.Interface()
	if err := sysctls(map[string]string{"ipv4/conf/" + name + "/arp_notify": "1", "ipv6/conf/" + name + "/ndisc_notify": "1"}); err != nil {
		return err
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetHardwareAddr(link, link.Attrs().HardwareAddr); err != nil {
		return fmt.Errorf("announce it: %w", err)
	}
	return nil
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	address := prefix.Addr()
	return &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(prefix.Bits(), address.BitLen())}
}

func family(address netip.Addr) int {
	if address.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}
