package network

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
)

// Plug makes the port's cable and puts the host's end into Neutron's bridge. Done already, it does nothing: it
// runs whenever Nova starts, and whenever a container does.
func Plug(port Port) error {
	bridge, err := ensureBridge(port.Bridge)
	if err != nil {
		return err
	}
	tap, err := ensureCable(port)
	if err != nil {
		return err
	}
	if tap.Attrs().MasterIndex != bridge.Attrs().Index {
		if err := netlink.LinkSetMaster(tap, bridge); err != nil {
			return fmt.Errorf("put %s into bridge %s: %w", port.Tap(), port.Bridge, err)
		}
	}
	if err := netlink.LinkSetUp(tap); err != nil {
		return fmt.Errorf("set %s up: %w", port.Tap(), err)
	}
	return nil
}

// Unplug removes the port's cable, with both ends, wherever the other end is. A cable that is not there is fine.
func Unplug(portID string) error {
	if len(portID) < idInName {
		return fmt.Errorf("%q is no port's id", portID)
	}
	tap, err := find(Port{ID: portID}.Tap())
	if err != nil || tap == nil {
		return err
	}
	if err := netlink.LinkDel(tap); err != nil && !gone(err) {
		return fmt.Errorf("remove %s: %w", tap.Attrs().Name, err)
	}
	return nil
}

// ensureCable returns the host's end. When that end is there, so is the other: here, or in a container. But a
// cable whose other end stayed in a container that is no more has lost it, and the host's end with it.
func ensureCable(port Port) (netlink.Link, error) {
	tap, err := find(port.Tap())
	if err != nil || tap != nil {
		return tap, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = port.Tap(), port.MTU
	cable := &netlink.Veth{LinkAttrs: attrs, PeerName: port.peer(), PeerMTU: uint32(port.MTU)}
	if err := netlink.LinkAdd(cable); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("make %s: %w", port.Tap(), err)
	}
	return netlink.LinkByName(port.Tap())
}

// ensureBridge makes the bridge when Neutron's agent has not done so yet, the way that agent would.
func ensureBridge(name string) (netlink.Link, error) {
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
	return bridge, netlink.LinkSetUp(bridge)
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
	return errors.As(err, &notFound)
}
