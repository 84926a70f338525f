package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Plug makes the port's veth pair and plugs the host's end where Neutron wants it. Done already, it does nothing: it runs
// whenever nova-compute or a container starts.
func Plug(port Port) error {
	tap, err := ensureVeth(port.Tap(), port.peer(), port)
	if err != nil {
		return err
	}
	switch port.Kind {
	case LinuxBridge:
		return plugInBridge(tap, port.Bridge, port.Physical)
	case OpenVSwitch:
		return plugInVSwitch(tap, port.peer(), port)
	case Hybrid:
		return plugHybrid(tap, port)
	}
	return fmt.Errorf("ports of kind %q cannot be plugged", port.Kind)
}

func plugInBridge(link netlink.Link, name string, physical bool) error {
	bridge, err := ensureBridge(name, physical)
	if err != nil {
		return err
	}
	if err := isolateHost(bridge, physical); err != nil {
		return err
	}
	if link.Attrs().MasterIndex != bridge.Attrs().Index {
		if err := netlink.LinkSetMaster(link, bridge); err != nil {
			return fmt.Errorf("put %s into bridge %s: %w", link.Attrs().Name, name, err)
		}
	}
	return setUp(link)
}

// plugInVSwitch puts an end of a veth pair into Open vSwitch. A switch in user space cannot complete checksums, so the other
// end must compute them; a switch in the kernel does it.
func plugInVSwitch(end netlink.Link, other string, port Port) error {
	name, userspace := end.Attrs().Name, false
	if err := keepFromHost(name); err != nil {
		return err
	}
	if err := setUp(end); err != nil {
		return err
	}
	err := withVSwitch(ovsdbSocket, func(ctx context.Context, ovs vswitch) (err error) {
		if err = ovs.add(name, port); err == nil {
			err = ovs.settled(ctx, name)
		}
		if err == nil {
			userspace, err = ovs.inUserspace(port.Bridge)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("put %s into bridge %s: %w", name, port.Bridge, err)
	}
	if !userspace {
		return nil
	}
	if peer, err := find(other); err != nil || peer == nil { // it is in a container, and was configured before
		return err
	}
	return computeChecksums(other)
}

// keepFromHost keeps this host's own network from receiving what comes from a link, past all that Neutron filters. It would
// where the switch is in user space and reads a copy, and where the link is taken out of its bridge.
func keepFromHost(link string) error {
	return sysctls(map[string]string{
		"ipv4/conf/" + link + "/rp_filter":    "1", // strictly: no address is reached by this link
		"ipv4/conf/" + link + "/arp_ignore":   "8", // all of it
		"ipv6/conf/" + link + "/disable_ipv6": "1",
	})
}

func computeChecksums(link string) error {
	tool, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer tool.Close()
	if err := tool.Change(link, map[string]bool{"tx-checksum-ip-generic": false}); err != nil {
		return fmt.Errorf("have checksums computed on %s: %w", link, err)
	}
	return nil
}

// plugHybrid puts a bridge of the port's own in between, in which Neutron's agent filters by iptables. The bridge is the
// port's if the veth pair from it to the switch is.
func plugHybrid(tap netlink.Link, port Port) error {
	inBridge, err := ensureVeth(port.bridgeEnd(), port.vswitchEnd(), port)
	if err != nil {
		return err
	}
	for _, end := range []netlink.Link{tap, inBridge} {
		if err := plugInBridge(end, port.ownBridge(), false); err != nil {
			return err
		}
	}
	inVSwitch, err := netlink.LinkByName(port.vswitchEnd())
	if err != nil {
		return err
	}
	return plugInVSwitch(inVSwitch, port.bridgeEnd(), port)
}

func setUp(link netlink.Link) error {
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", link.Attrs().Name, err)
	}
	return nil
}

// Unplug removes the port's veth pair, wherever the other end is, and what is between it and Open vSwitch. A port that is
// not plugged is fine. A link that has the port's name and is another's is left alone.
func Unplug(port Port) error {
	if len(port.ID) < idInName {
		return fmt.Errorf("%q is no port's id", port.ID)
	}
	if port.Kind != LinuxBridge {
		err := withVSwitch(ovsdbSocket, func(_ context.Context, ovs vswitch) error {
			return errors.Join(ovs.remove(port.Tap(), port), ovs.remove(port.vswitchEnd(), port))
		})
		if err != nil {
			return fmt.Errorf("take port %s out of Open vSwitch: %w", port.ID, err)
		}
	}
	if _, err := removeEnd(port.Tap(), port); err != nil {
		return err
	}
	if own, err := removeEnd(port.bridgeEnd(), port); err != nil || !own {
		return err
	}
	return remove(port.ownBridge())
}

// removeEnd removes an end of the port's veth pair. own is false where a link of this name is another's.
func removeEnd(name string, port Port) (own bool, err error) {
	there, err := find(name)
	if err != nil || there == nil {
		return err == nil, err
	}
	if own, err := isEndOf(there, port); err != nil || !own {
		return false, err
	}
	return true, remove(name)
}

// remove removes a link. One that is not there is fine.
func remove(name string) error {
	link, err := find(name)
	if err != nil || link == nil {
		return err
	}
	if err := netlink.LinkDel(link); err != nil && !gone(err) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// ensureVeth makes the veth pair, if it is not there, and returns its first end. When that is there, so is the other, here or
// in a container: where a container is gone with one end, the kernel removes both.
func ensureVeth(name, peer string, port Port) (netlink.Link, error) {
	there, err := find(name)
	if err != nil {
		return nil, err
	}
	made := false
	if there == nil {
		if there, made, err = makeVeth(name, peer, port); err != nil {
			return nil, err
		}
	}
	// One that was made is the port's, also when Open vSwitch has taken it: it does so at once where it had the port before
	// this host was restarted.
	if !made {
		if own, err := isEndOf(there, port); err != nil || !own {
			return nil, errors.Join(err, fmt.Errorf("%s is there already, and is not of this server's port: it is left alone", name))
		}
	}
	if err := keepFromHost(name); err != nil {
		return nil, err
	}
	if there.Attrs().Alias == port.alias() {
		return there, nil
	}
	if err := netlink.LinkSetAlias(there, port.alias()); err != nil {
		return nil, fmt.Errorf("say of %s whose it is: %w", name, err)
	}
	return there, nil
}

// isEndOf tells whether a link is an end of the port's veth pair: Nova, or an attacker in its place, can name the port of a
// virtual machine, a router or another server of this host. A veth pair that no server has any more becomes the port's, and
// so does one that was made and not marked, because the agent was killed: its group tells who made it, wherever Open vSwitch
// has put it meanwhile.
func isEndOf(end netlink.Link, port Port) (bool, error) {
	attrs := end.Attrs()
	if attrs.Alias == port.alias() {
		return true, nil
	}
	if attrs.Alias != "" {
		dir, marked := strings.CutPrefix(attrs.Alias, aliasMark)
		return isOrphan(dir, attrs.Name, marked)
	}
	return end.Type() == "veth" && attrs.Group == madeByNdock, nil
}

// isOrphan tells whether a link, which is marked with a directory, is there and no server has it.
func isOrphan(dir, link string, marked bool) (bool, error) {
	if !marked || !filepath.IsAbs(dir) || len(link) < len("tap")+idInName {
		return false, nil
	}
	return Orphan(Port{ID: link[len("tap"):], Dir: dir})
}

// madeByNdock is the group (`ip -details link`) of the host's ends of veth pairs. The kernel sets it in the request that makes
// the link, as it does not do with an alias.
const madeByNdock = 0x6e646f63 // ndoc

// makeVeth makes a veth pair and returns its first end; made is false where another did so meanwhile. It sets the MACs of the
// port's own pair at once: udev would change random ones, some time later.
func makeVeth(name, peer string, port Port) (end netlink.Link, made bool, err error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.Group = name, port.MTU, madeByNdock
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: peer, PeerMTU: uint32(port.MTU)}
	if mac, err := net.ParseMAC(port.MAC); err == nil && name == port.Tap() {
		veth.HardwareAddr, veth.PeerHardwareAddr = hostsMAC(mac), mac
	}
	err = netlink.LinkAdd(veth)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return nil, false, fmt.Errorf("make %s: %w", name, err)
	}
	made = err == nil
	end, err = netlink.LinkByName(name)
	return end, made, err
}

// hostsMAC returns the MAC of the host's end: the port's with another first byte, as with Nova's other drivers. It has to be
// high, because a bridge takes the lowest MAC of its links, and the host is not reachable for a while when that changes. It
// has to be none that a port can have, because a bridge delivers what is for its links' MACs to the host.
func hostsMAC(mac net.HardwareAddr) net.HardwareAddr {
	hosts := slices.Clone(mac)
	if hosts[0] = 0xfe; mac[0] == 0xfe {
		hosts[1] ^= 0x80
	}
	return hosts
}

// ensureBridge makes the bridge as Neutron's agent would, if that has not done so yet.
func ensureBridge(name string, physical bool) (netlink.Link, error) {
	bridge, err := find(name)
	if err != nil || bridge != nil {
		return bridge, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	noSnooping := false
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &noSnooping}); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("make bridge %s: %w", name, err)
	}
	if bridge, err = netlink.LinkByName(name); err != nil {
		return nil, fmt.Errorf("find bridge %s: %w", name, err)
	}
	if err := isolateHost(bridge, physical); err != nil {
		return nil, err
	}
	return bridge, setUp(bridge)
}

// isolateHost keeps the host's own network out of a tenant's bridge: it has no address there and answers for none. A bridge
// in which the host has an address, of either family, is the host's, and gets the settings of a new link: Neutron's agent
// moves the addresses of a physical network's interface into such a bridge. A link-local address does not count, because the
// kernel gives one to each bridge.
func isolateHost(bridge netlink.Link, physical bool) error {
	addresses, err := netlink.AddrList(bridge, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return err
	}
	for _, address := range addresses {
		if address.IP.To4() != nil || !address.IP.IsLinkLocalUnicast() {
			return restoreHost(bridge.Attrs().Name)
		}
	}
	if err := sysctls(isolation(bridge.Attrs().Name, physical)); err != nil {
		return err
	}
	if physical { // an earlier release had switched it off
		if err := resetSysctls(bridge.Attrs().Name, "ipv6/conf/%s/disable_ipv6"); err != nil {
			return err
		}
	}
	for _, address := range addresses { // what is left where IPv6 stays on
		if err := netlink.AddrDel(bridge, &address); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("remove address %s of %s: %w", address.IPNet, bridge.Attrs().Name, err)
		}
	}
	return nil
}

// isolation returns the settings of a bridge that the host has no address in. Where Neutron's agent may yet move the host's
// addresses in, IPv6 stays on, or they would be refused; but the kernel makes none itself.
func isolation(bridge string, physical bool) map[string]string {
	settings := map[string]string{
		"ipv4/conf/" + bridge + "/rp_filter":  "1", // strictly: no address is reached by this link
		"ipv4/conf/" + bridge + "/arp_ignore": "1", // for other links' addresses
	}
	if !physical {
		settings["ipv6/conf/"+bridge+"/disable_ipv6"] = "1"
		return settings
	}
	settings["ipv6/conf/"+bridge+"/accept_ra"] = "0"
	settings["ipv6/conf/"+bridge+"/autoconf"] = "0"
	settings["ipv6/conf/"+bridge+"/addr_gen_mode"] = "1" // none
	return settings
}

// restoreHost undoes isolateHost, of this or an earlier release.
func restoreHost(bridge string) error {
	if ignored, err := readSysctl("ipv4/conf/" + bridge + "/arp_ignore"); err != nil || ignored != "1" && ignored != "8" {
		return err
	}
	return resetSysctls(
		bridge, "ipv4/conf/%s/rp_filter", "ipv4/conf/%s/arp_ignore", "ipv6/conf/%s/accept_ra", "ipv6/conf/%s/autoconf",
		"ipv6/conf/%s/addr_gen_mode", "ipv6/conf/%s/disable_ipv6",
	)
}

// resetSysctls sets settings of a link to those of a new link.
func resetSysctls(link string, settings ...string) error {
	for _, setting := range settings {
		value, err := readSysctl(fmt.Sprintf(setting, "default"))
		if err == nil {
			err = sysctl(fmt.Sprintf(setting, link), value)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) { // this kernel has no IPv6
			return err
		}
	}
	return nil
}

// find returns nil for a link that is not there.
func find(name string) (netlink.Link, error) {
	link, err := netlink.LinkByName(name)
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for link %s: %w", name, err)
	}
	return link, nil
}

func gone(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound) || errors.Is(err, unix.ENODEV)
}
