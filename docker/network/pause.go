package network

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// LinksDown sets a paused container's interfaces down. The kernel would answer for it, which for a paused virtual machine it
// does not.
func LinksDown(ports []Port, netnsPath string) error {
	return eachInside(ports, netnsPath, func(_ int, link netlink.Link) error { return netlink.LinkSetDown(link) })
}

// LinksUp undoes it. It also sets the routes anew, as for a container that lost a port.
func LinksUp(ports []Port, netnsPath string) error {
	ports = wired(ports)
	return eachInside(ports, netnsPath, func(i int, link netlink.Link) error {
		return setLinkUp(link, ports[i], routingOf(ports[i], ports[:i]))
	})
}

// eachInside calls do with the interface of each port in a container. A port that is not there is left out.
func eachInside(ports []Port, netnsPath string, do func(i int, link netlink.Link) error) error {
	if len(ports) == 0 {
		return nil
	}
	sandbox, err := openNamespace(netnsPath)
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
