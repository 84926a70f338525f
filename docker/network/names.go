package network

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// NameFiles returns the files of a server's directory that its container resolves names by, with their paths in the
// container. Docker's own would name the host's resolvers, or one of Docker's.
func NameFiles(dir string) map[string]string {
	return map[string]string{
		filepath.Join(dir, "hosts"):       "/etc/hosts",
		filepath.Join(dir, "resolv.conf"): ResolvConf,
	}
}

// ResolvConf is where programs look for their resolvers.
const ResolvConf = "/etc/resolv.conf"

// hostnameLimit is the longest hostname of Linux, in bytes.
const hostnameLimit = 64

// SplitHostname returns the hostname of a container, and its domain. Nova lets a hostname be a name with its domain, up to
// 255 characters long; that domain then counts, and else Neutron's, which may be empty.
func SplitHostname(hostname, neutrons string) (host, domain string) {
	host, domain, _ = strings.Cut(hostname, ".")
	if len(host) > hostnameLimit { // which may cut a character in two, or end in a hyphen, as no name may
		host = strings.TrimRight(strings.ToValidUTF8(host[:hostnameLimit], ""), "-")
	}
	if domain = strings.Trim(domain, "."); domain == "" {
		domain = neutrons
	}
	return host, domain
}

// WriteNames writes the files, with the resolvers of Neutron's subnets and the server's own name, whose domain may be empty.
func WriteNames(dir, hostname, domain string, ports []Port) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := overwrite(filepath.Join(dir, "hosts"), hosts(hostname, domain, ports)); err != nil {
		return err
	}
	return overwrite(filepath.Join(dir, "resolv.conf"), resolvConf(domain, ports))
}

// overwrite writes to the file that is there: a running container has it mounted. It does not wait for a lease that its owner
// may have taken on it.
func overwrite(name, text string) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return err
	}
	if _, err := file.WriteString(text); err != nil {
		file.Close()
		return fmt.Errorf("write %s: %w", name, err)
	}
	return file.Close()
}

func hosts(hostname, domain string, ports []Port) string {
	var b strings.Builder
	b.WriteString("127.0.0.1\tlocalhost\n")
	if haveIPv6(ports) {
		b.WriteString("::1\tlocalhost ip6-localhost ip6-loopback\n")
	}
	names := hostname
	if domain != "" {
		names = hostname + "." + domain + " " + hostname
	}
	if address := ownAddress(ports); address.IsValid() && hostname != "" {
		fmt.Fprintf(&b, "%s\t%s\n", address, names)
	}
	return b.String()
}

// haveIPv6 tells whether one of the ports has an IPv6 address. Without one a server does not have ::1 either, and what binds
// to the first address of localhost would fail.
func haveIPv6(ports []Port) bool {
	return slices.ContainsFunc(ports, func(port Port) bool {
		return slices.ContainsFunc(port.Subnets, func(subnet Subnet) bool {
			return slices.ContainsFunc(subnet.Addresses, func(address netip.Prefix) bool { return address.Addr().Is6() })
		})
	})
}

// ownAddress returns the address by which others know the server: of those with a gateway, or else of all, the first of IPv4,
// or else of IPv6.
func ownAddress(ports []Port) netip.Addr {
	var best netip.Addr
	most := -1
	for _, port := range ports {
		for _, subnet := range port.Subnets {
			for _, address := range subnet.Addresses {
				worth := 0
				if subnet.Gateway.IsValid() {
					worth += 2
				}
				if address.Addr().Is4() {
					worth++
				}
				if worth > most {
					best, most = address.Addr(), worth
				}
			}
		}
	}
	return best
}

// resolvConf names each resolver once, in the order of the ports.
func resolvConf(domain string, ports []Port) string {
	var b strings.Builder
	if domain != "" {
		fmt.Fprintf(&b, "search %s\n", domain)
	}
	seen := map[netip.Addr]bool{}
	for _, port := range ports {
		for _, subnet := range port.Subnets {
			for _, dns := range subnet.DNS {
				if !seen[dns] {
					seen[dns] = true
					fmt.Fprintf(&b, "nameserver %s\n", dns)
				}
			}
		}
	}
	return b.String()
}
