package network

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// Traffic is what went through an interface of a container since it was moved there.
type Traffic struct {
	Name string
	MAC  string
	netlink.LinkStatistics
}

// Statistics returns the traffic of a container's interfaces, sorted by name, without its loopback.
func Statistics(netnsPath string) ([]Traffic, error) {
	sandbox, err := openNamespace(netnsPath)
	if errors.Is(err, os.ErrNotExist) { // it has just ended
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer sandbox.close()
	var all []Traffic
	err = sandbox.do(func(namespace) error {
		links, err := netlink.LinkList()
		if err != nil {
			return fmt.Errorf("list the container's interfaces: %w", err)
		}
		for _, link := range links {
			if attrs := link.Attrs(); link.Type() == "veth" && attrs.Statistics != nil {
				all = append(all, Traffic{attrs.Name, attrs.HardwareAddr.String(), *attrs.Statistics})
			}
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Traffic) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}
