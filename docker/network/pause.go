package network

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// Silence keeps a container that is frozen from answering: its kernel would, for it, where a machine that is paused is
// not heard of.
func Silence(ports []Port, holder string) error {
	return eachInside(ports, holder, func(_ int, link netlink.Link) error { return netlink.LinkSetDown(link) })
}

// Connect undoes it. It also gives the ports their routes that are those of a container which has lost another.
func Connect(ports []Port, holder string) error {
	ports = wired(ports)
	return eachInside(ports, holder, func(i int, link netlink.Link) error {
		return connect(link, ports[i], routingOf(ports[i], ports[:i]))
	})
}

// eachInside does something to the interfaces that the ports have in a container. One that the container does not have is
// passed over.
func eachInside(ports []Port, holder string, do func(i int, link netlink.Link) error) error {
	if len(ports) == 0 {
		return nil
	}
	sandbox, err := openNamespace(holder)
	if err != nil {
		return err
	}
	defer sandbox.close()
	return sandbox.do(func(namespace) error {
		for i, port := range ports {
			link, err := find(port.Interface())
			if err == nil && link != nil {
				err = do(i, link)
			}
			if err != nil {
				return fmt.Errorf("port %s in the container: %w", port.ID, err)
			}
		}
		return nil
	})
}
