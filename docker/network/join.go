package network

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
)

// Join moves ports into a container that is about to start: all that are wired are in its network namespace when this
// returns, with their addresses and routes, or none is. The namespace is pinned at netnsPath, for Leave.
func Join(ports []Port, ns, netnsPath string) error {
	if err := Leave(ports, netnsPath); err != nil { // of the last run, if its hook failed
		return err
	}
	if err := pin(ns, netnsPath); err != nil {
		return err
	}
	joining := wired(ports)
	for i, port := range joining {
		if err := Attach(port, joining[:i], netnsPath); err != nil {
			return errors.Join(err, Leave(ports, netnsPath))
		}
	}
	return nil
}

// Attach plugs one more port into a container that runs; earlier are those that it has. A port that is in the container
// already, because an earlier try failed half-way, is set up again.
func Attach(port Port, earlier []Port, netnsPath string) error {
	sandbox, err := openNamespace(netnsPath)
	if err != nil {
		return err
	}
	defer sandbox.close()
	there, err := inside(port, sandbox)
	if err != nil {
		return err
	}
	if !there {
		if err := moveToNetns(port, sandbox); err != nil {
			return err
		}
	}
	err = fmt.Errorf("its interface is gone again")
	if failed := sandbox.withEnd(port, func(end netlink.Link, _ namespace) error {
		err = configure(end, port, routingOf(port, wired(earlier)))
		return nil
	}); failed != nil || err != nil {
		return fmt.Errorf("set up port %s in the container: %w", port.ID, cmp.Or(failed, err))
	}
	return nil
}

// inside tells whether the port's peer is in the container.
func inside(port Port, sandbox namespace) (there bool, err error) {
	err = sandbox.withEnd(port, func(netlink.Link, namespace) error { there = true; return nil })
	return there, err
}

// moveToNetns moves the port's peer into the container.
func moveToNetns(port Port, sandbox namespace) error {
	if err := Plug(port); err != nil {
		return err
	}
	inside, err := unattachedPeer(port)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetNsFd(inside, sandbox.fd()); err != nil {
		return fmt.Errorf("move port %s into the container: %w", port.ID, err)
	}
	return nil
}

// unattachedPeer returns the peer, which is in no container. Where it is in one that is gone without Leave, the veth pair is
// made again.
func unattachedPeer(port Port) (netlink.Link, error) {
	inside, err := find(port.peer())
	if err != nil || inside != nil {
		return inside, err
	}
	if err := Unplug(port); err != nil {
		return nil, err
	}
	if err := Plug(port); err != nil {
		return nil, err
	}
	return netlink.LinkByName(port.peer())
}

// Leave moves the ports out of a container that ended, so that each keeps its veth pair: Neutron need not wire it again for
// the next start.
func Leave(ports []Port, netnsPath string) error {
	sandbox, err := openNamespace(netnsPath)
	if errors.Is(err, os.ErrNotExist) {
		return unpin(netnsPath) // its file may be left
	}
	if err != nil {
		return err
	}
	defer sandbox.close()
	var failed []error
	for _, port := range ports {
		failed = append(failed, takeBack(port, sandbox))
	}
	return errors.Join(errors.Join(failed...), unpin(netnsPath))
}

func takeBack(port Port, sandbox namespace) error {
	return sandbox.withEnd(port, func(end netlink.Link, host namespace) error {
		if err := rename(end, port.peer()); err != nil {
			return err
		}
		if err := netlink.LinkSetNsFd(end, host.fd()); err != nil {
			return fmt.Errorf("take port %s out of the container: %w", port.ID, err)
		}
		return nil
	})
}

// withEnd calls do in the container with the port's peer, which it finds by the host's end: name and MAC may have been changed
// there. It does nothing if the peer is in no container, or in another one.
func (n namespace) withEnd(port Port, do func(end netlink.Link, host namespace) error) error {
	tap, err := find(port.Tap())
	if err != nil || tap == nil {
		return err
	}
	return n.do(func(host namespace) error {
		end, err := netlink.LinkByIndex(tap.Attrs().ParentIndex)
		if gone(err) || err == nil && (end.Type() != "veth" || end.Attrs().ParentIndex != tap.Attrs().Index) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("find port %s in the container: %w", port.ID, err)
		}
		return do(end, host)
	})
}

// rename sets the interface down and renames it, unless it has the name already.
func rename(link netlink.Link, name string) error {
	if link.Attrs().Name == name {
		return nil
	}
	if err := netlink.LinkSetDown(link); err != nil {
		return fmt.Errorf("set %s down: %w", link.Attrs().Name, err)
	}
	if err := netlink.LinkSetName(link, name); err != nil {
		return fmt.Errorf("name %s %s: %w", link.Attrs().Name, name, err)
	}
	return nil
}
