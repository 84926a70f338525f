package registry

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// address is where a registry listens: a host, empty for all addresses, and a port.
type address struct{ host, port string }

func parseAddress(listen string) (address, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return address{}, fmt.Errorf("address %q is not HOST:PORT", listen)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return address{}, fmt.Errorf("address %q has no port between 1 and 65535", listen)
	}
	return address{host: host, port: port}, nil
}

// parseClientAddress is for an address that clients are told: its port is not left to the system.
func parseClientAddress(listen string) (address, error) {
	at, err := parseAddress(listen)
	if err == nil && at.port == "0" {
		err = fmt.Errorf("address %q has no port between 1 and 65535", listen)
	}
	return at, err
}

func (a address) String() string { return net.JoinHostPort(a.host, a.port) }

// everywhere tells whether it listens on all addresses of the host.
func (a address) everywhere() bool {
	ip := net.ParseIP(a.host)
	return a.host == "" || ip != nil && ip.IsUnspecified()
}

// loopback tells whether other hosts cannot reach it. Names but "localhost" are not trusted to stay what they are.
func (a address) loopback() bool {
	ip := net.ParseIP(a.host)
	return a.host == "localhost" || ip != nil && ip.IsLoopback()
}

// privileged tells whether listening there takes a capability.
func (a address) privileged() bool {
	n, err := strconv.Atoi(a.port)
	return err == nil && n > 0 && n < 1024
}

// name is what clients call its host, if they are told only one name.
func (a address) name() string {
	if !a.everywhere() {
		return a.host
	}
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "localhost"
}

// asked are the names that its certificate must have.
func (a address) asked() []string {
	if a.everywhere() {
		return unique([]string{"localhost", "127.0.0.1", "::1", a.name()})
	}
	return a.names()
}

// names are what clients may call its host: the names of a new certificate.
func (a address) names() []string {
	switch {
	case a.everywhere():
		return unique(append(a.asked(), interfaceAddresses()...))
	case a.host == "localhost":
		return []string{"localhost", "127.0.0.1"}
	case a.loopback():
		return []string{a.host, "localhost"}
	}
	return []string{a.host}
}

// local is where this host reaches it.
func (a address) local() string {
	switch {
	case a.host == "::":
		return net.JoinHostPort("::1", a.port)
	case a.everywhere():
		return net.JoinHostPort("127.0.0.1", a.port)
	}
	return a.String()
}

// interfaceAddresses are those that another host may use. That there are none is no fault.
func interfaceAddresses() []string {
	var found []string
	all, _ := net.InterfaceAddrs()
	for _, one := range all {
		if ip, _, err := net.ParseCIDR(one.String()); err == nil && ip.IsGlobalUnicast() {
			found = append(found, ip.String())
		}
	}
	return found
}

// unique sorts the names, and leaves each in once.
func unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// isHostName tells whether a text can be the name or address of a host, and of a directory.
func isHostName(text string) bool { return hostName.MatchString(text) && !strings.Contains(text, "..") }

var hostName = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$`)
