package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Extra is what a port has and libnetwork cannot be told: it takes one address of each family, one gateway of a
// container's, and no address whose subnet another of its interfaces has.
type Extra struct {
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	Routes    []Route        `json:"routes,omitempty"`
	// Apart are those of the addresses whose subnet another interface has too. What is sent from one of them has to
	// leave through its own port: Neutron lets no port send what is another's.
	Apart []Apart `json:"apart,omitempty"`
}

// Apart is an address with the routes of its own.
type Apart struct {
	Address netip.Prefix `json:"address"`
	Gateway netip.Addr   `json:"gateway,omitzero"`
}

// HasExtra tells whether there is anything to Settle.
func (p Port) HasExtra() bool {
	return len(p.Extra.Addresses)+len(p.Extra.Routes)+len(p.Extra.Apart) > 0
}

// Settle gives the port's interface, in the network namespace that Docker joins it to, what Docker could not be told,
// and tells the network where it is now. It says false while the interface is not there.
func Settle(port Port, sandbox string) (bool, error) {
	done, err := inNamespace(sandbox, func() (bool, error) { return port.settle() })
	if err != nil {
		return false, fmt.Errorf("give port %s all its addresses: %w", port.ID, err)
	}
	return done, nil
}

// inNamespace does something in a network namespace, or nothing as long as there is none.
func inNamespace(sandbox string, do func() (bool, error)) (done bool, err error) {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		runtime.LockOSThread() // and never unlock it: the thread is of that namespace, and ends here
		if there, failed := enter(sandbox); failed != nil || !there {
			err = failed
			return
		}
		done, err = do()
	}()
	<-finished
	return done, err
}

// enter takes this thread into a network namespace. Docker makes the file first, and then mounts the namespace on it.
func enter(sandbox string) (there bool, err error) {
	file, err := os.Open(sandbox)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
	if errors.Is(err, unix.EINVAL) {
		return false, nil
	}
	return err == nil, err
}

// settle runs in the container's namespace. It says false if the interface is not up yet.
func (p Port) settle() (bool, error) {
	link, err := p.inside()
	if err != nil || link == nil {
		return false, err
	}
	for _, address := range p.Extra.Addresses {
		if err := addAddress(link, address); err != nil {
			return false, err
		}
	}
	for _, apart := range p.Extra.Apart {
		if err := apart.keep(link); err != nil {
			return false, err
		}
	}
	for _, route := range p.Extra.Routes {
		if err := addRoute(link, route, unix.RT_TABLE_MAIN); err != nil {
			return false, err
		}
	}
	return true, announce(link)
}

// announce lets the kernel send what a machine sends that was moved: switches and neighbours believe for minutes that it
// is where it was. It does so when an interface's MAC changes, also to the same one.
func announce(link netlink.Link) error {
	attrs := link.Attrs()
	for _, name := range []string{"ipv4/conf/" + attrs.Name + "/arp_notify", "ipv6/conf/" + attrs.Name + "/ndisc_notify"} {
		if err := os.WriteFile("/proc/sys/net/"+name, []byte("1"), 0o644); err != nil && !errors.Is(err, os.ErrNotExist) { // no IPv6
			return fmt.Errorf("announce %s: %w", attrs.Name, err)
		}
	}
	if err := netlink.LinkSetHardwareAddr(link, attrs.HardwareAddr); err != nil {
		return fmt.Errorf("announce %s: %w", attrs.Name, err)
	}
	return nil
}

// inside finds the port's interface by its MAC, as soon as Docker has set it up.
func (p Port) inside() (netlink.Link, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the container's interfaces: %w", err)
	}
	mac, err := net.ParseMAC(p.MAC)
	if err != nil {
		return nil, err
	}
	for _, link := range links {
		attrs := link.Attrs()
		if attrs.HardwareAddr.String() == mac.String() && attrs.Flags&net.FlagUp != 0 {
			return link, nil
		}
	}
	return nil, nil
}

func addAddress(link netlink.Link, prefix netip.Prefix) error {
	if prefix.Addr().Is6() { // Docker switches it off where it sets no such address
		name := "/proc/sys/net/ipv6/conf/" + link.Attrs().Name + "/disable_ipv6"
		if err := os.WriteFile(name, []byte("0"), 0o644); err != nil {
			return fmt.Errorf("switch IPv6 on: %w", err)
		}
	}
	address := &netlink.Addr{IPNet: ipNet(prefix)}
	if prefix.Addr().Is6() {
		address.Flags = unix.IFA_F_NODAD // Neutron gave it, so that it is no one else's
	}
	if err := netlink.AddrAdd(link, address); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("add address %s: %w", prefix, err)
	}
	return nil
}

// keep adds the address, and sends what comes from it by routes of its own, in a table of the interface's.
func (a Apart) keep(link netlink.Link) error {
	if err := addAddress(link, a.Address); err != nil {
		return err
	}
	table := ownTables + link.Attrs().Index
	rule := netlink.NewRule()
	rule.Family = family(a.Address.Addr())
	rule.Src = ipNet(netip.PrefixFrom(a.Address.Addr(), a.Address.Addr().BitLen()))
	rule.Table = table
	if err := netlink.RuleAdd(rule); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("add a rule for what %s sends: %w", a.Address.Addr(), err)
	}
	if err := answerOnlyForOwn(); err != nil {
		return err
	}
	if err := addRoute(link, Route{To: a.Address.Masked()}, table); err != nil || !a.Gateway.IsValid() {
		return err
	}
	return addRoute(link, Route{To: everything(a.Gateway), Via: a.Gateway}, table)
}

// answerOnlyForOwn lets each interface speak ARP for its own addresses. Linux would for the others' as well.
func answerOnlyForOwn() error {
	for name, value := range map[string]string{"arp_ignore": "1", "arp_announce": "2"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/all/"+name, []byte(value), 0o644); err != nil {
			return fmt.Errorf("keep ARP apart: %w", err)
		}
	}
	return nil
}

// ownTables is the number that an interface's is added to, for its table of routes; up to 255 some have a meaning.
const ownTables = 1000

// addRoute adds one to a neighbour if it goes via none.
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

// everything is the default route's destination.
func everything(gateway netip.Addr) netip.Prefix {
	if gateway.Is6() {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}
