package config

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Address is where a registry listens: a host, empty for all addresses, and a port.
type Address struct{ Host, Port string }

// ParseAddress reads HOST:PORT. The host may be empty, and the port 0.
func ParseAddress(listen string) (Address, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return Address{}, fmt.Errorf("address %q is not HOST:PORT", listen)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return Address{}, fmt.Errorf("address %q has no port between 1 and 65535", listen)
	}
	return Address{Host: host, Port: port}, nil
}

// ParseClientAddress is for an address that clients are told: its port is not left to the system.
func ParseClientAddress(listen string) (Address, error) {
	at, err := ParseAddress(listen)
	if err == nil && at.Port == "0" {
		err = fmt.Errorf("address %q has no port between 1 and 65535", listen)
	}
	return at, err
}

// String returns HOST:PORT.
func (a Address) String() string { return net.JoinHostPort(a.Host, a.Port) }

// everywhere tells whether it listens on all addresses of the host.
func (a Address) everywhere() bool {
	ip := net.ParseIP(a.Host)
	return a.Host == "" || ip != nil && ip.IsUnspecified()
}

// Loopback tells whether other hosts cannot reach it. Names but "localhost" are not trusted to stay what they are.
func (a Address) Loopback() bool {
	ip := net.ParseIP(a.Host)
	return a.Host == "localhost" || ip != nil && ip.IsLoopback()
}

// Privileged tells whether listening there takes a capability.
func (a Address) Privileged() bool {
	n, err := strconv.Atoi(a.Port)
	return err == nil && n > 0 && n < 1024
}

// Name is what clients call its host, if they are told only one name.
func (a Address) Name() string {
	if !a.everywhere() {
		return a.Host
	}
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "localhost"
}

// RequiredNames are the names that its certificate must have.
func (a Address) RequiredNames() []string {
	if a.everywhere() {
		return Unique([]string{"localhost", "127.0.0.1", "::1", a.Name()})
	}
	return a.Names()
}

// Names are what clients may call its host: the names of a new certificate.
func (a Address) Names() []string {
	switch {
	case a.everywhere():
		return Unique(append(a.RequiredNames(), interfaceAddresses()...))
	case a.Host == "localhost":
		return []string{"localhost", "127.0.0.1"}
	case a.Loopback():
		return []string{a.Host, "localhost"}
	}
	return []string{a.Host}
}

// Local is where this host reaches it.
func (a Address) Local() string {
	switch {
	case a.Host == "::":
		return net.JoinHostPort("::1", a.Port)
	case a.everywhere():
		return net.JoinHostPort("127.0.0.1", a.Port)
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

// Unique sorts the names, and leaves each in once.
func Unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// IsHostName tells whether a text can be the name or address of a host, and of a directory.
func IsHostName(text string) bool { return hostName.MatchString(text) && !strings.Contains(text, "..") }

var hostName = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$`)
