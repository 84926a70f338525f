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

// ParseClientAddress reads an address that clients are told: its port cannot be 0.
func ParseClientAddress(listen string) (Address, error) {
	at, err := ParseAddress(listen)
	if err == nil && at.Port == "0" {
		err = fmt.Errorf("address %q has no port between 1 and 65535", listen)
	}
	return at, err
}

// String returns HOST:PORT.
func (a Address) String() string { return net.JoinHostPort(a.Host, a.Port) }

// everywhere returns whether the address is all addresses of the host.
func (a Address) everywhere() bool {
	ip := net.ParseIP(a.Host)
	return a.Host == "" || ip != nil && ip.IsUnspecified()
}

// Loopback returns whether other hosts cannot reach the address. Of names, only localhost is trusted.
func (a Address) Loopback() bool {
	ip := net.ParseIP(a.Host)
	return a.Host == "localhost" || ip != nil && ip.IsLoopback()
}

// Privileged returns whether it takes a capability to listen there.
func (a Address) Privileged() bool {
	n, err := strconv.Atoi(a.Port)
	return err == nil && n > 0 && n < 1024
}

// Name returns one name of the host for clients.
func (a Address) Name() string {
	if !a.everywhere() {
		return a.Host
	}
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "localhost"
}

// RequiredNames returns the names that the certificate must have.
func (a Address) RequiredNames() []string {
	if a.everywhere() {
		return Unique([]string{"localhost", "127.0.0.1", "::1", a.Name()})
	}
	return a.Names()
}

// Names returns all names and addresses of the host for clients, for a new certificate.
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

// Local returns the address for clients on this host.
func (a Address) Local() string {
	switch {
	case a.Host == "::":
		return net.JoinHostPort("::1", a.Port)
	case a.everywhere():
		return net.JoinHostPort("127.0.0.1", a.Port)
	}
	return a.String()
}

// interfaceAddresses returns the addresses of this host that others may use.
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

// Unique sorts the names, and removes duplicates.
func Unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// IsHostName returns whether a text can be the name or address of a host, and the name of a directory.
func IsHostName(text string) bool { return hostName.MatchString(text) && !strings.Contains(text, "..") }

var hostName = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$`)
