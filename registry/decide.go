package registry

import (
	"bytes"
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"time"
)

// decide works out what shall be in the config volume, and what the container shall be made with.
func (d *deployment) decide(context.Context) error {
	d.files = files{}
	if err := d.decideLogin(); err != nil {
		return err
	}
	if err := d.decideCertificate(time.Now()); err != nil {
		return err
	}
	if err := d.decideConfiguration(); err != nil {
		return err
	}
	if d.files.auth() == "" && !d.at.loopback() {
		d.Report.Step("note: whoever reaches %s can push and pull; --user and --password-stdin demand a login", d.at)
	}
	d.spec = newSpec(d.image, d.program.digest, d.DeployOptions, d.url(), d.environment())
	if d.Image != "" {
		d.spec = d.spec.stock(d.stockID)
	}
	return nil
}

// environment tells Go where the CAs are, if there are any.
func (d *deployment) environment() []string {
	if d.files[fileSystemCAs] == nil {
		return nil
	}
	return []string{"SSL_CERT_FILE=" + configDir + "/" + fileSystemCAs}
}

// decideLogin keeps the logins that nobody speaks of: a registry must not become open to all by an upgrade.
func (d *deployment) decideLogin() error {
	kept, there := d.kept[fileHtpasswd]
	if d.User == "" {
		if there {
			d.files[fileHtpasswd] = kept
		}
		return nil
	}
	text, err := withLogin(kept, d.User, d.Password)
	d.files[fileHtpasswd] = text
	return err
}

// decideCertificate keeps a certificate of its own as long as it does, and its CA, which other hosts have copied,
// for as long as it lives.
func (d *deployment) decideCertificate(now time.Time) error {
	switch d.mode() {
	case tlsNone:
		return nil
	case tlsGiven:
		d.files.put(fileCert, fileKey, d.given)
		return nil
	}
	names := d.at.names()
	ca, server := d.kept.pair(fileCA, fileCAKey), d.kept.pair(fileCert, fileKey)
	if !server.covers(names, ca, now) {
		var err error
		if server, err = ca.issue(names, now); err != nil || !server.covers(names, ca, now) {
			if ca, err = newAuthority(now); err != nil {
				return err
			}
			if server, err = ca.issue(names, now); err != nil {
				return err
			}
		}
	}
	if !bytes.Contains(server.cert, ca.cert) { // it shows its CA, so that another host can trust it by the fingerprint
		server.cert = append(slices.Clone(server.cert), ca.cert...)
	}
	d.files.put(fileCert, fileKey, server)
	d.files.put(fileCA, fileCAKey, ca)
	return nil
}

// url is where clients are to look for the registry: by a name that its certificate has.
func (d *deployment) url() string {
	scheme, host := "https", d.at.name()
	switch d.mode() {
	case tlsNone:
		scheme = "http"
	case tlsGiven:
		host = d.given.name(host)
	}
	return scheme + "://" + net.JoinHostPort(host, d.at.port)
}

// name is what a given certificate calls its server, or the other name where it calls it nothing in particular.
func (p pair) name(other string) string {
	leaf, _, err := p.parse()
	if err != nil || leaf.VerifyHostname(other) == nil {
		return other
	}
	for _, name := range leaf.DNSNames {
		if !strings.Contains(name, "*") {
			return name
		}
	}
	return other
}

// registries are HOST:PORT under all names by which Docker on this host may call the registry.
func (d *deployment) registries() []string {
	if d.mode() != tlsSelfSigned {
		return nil
	}
	var all []string
	for _, name := range d.at.names() {
		all = append(all, net.JoinHostPort(name, d.at.port))
	}
	return all
}

// syncTrust makes Docker on this host trust the registry's own CA where it is used, and nowhere else.
func (d *deployment) syncTrust() (bool, error) {
	config := maps.Clone(d.kept)
	maps.Copy(config, d.files)
	return trust{d.CertsDir}.sync(d.registries(), config[fileCA])
}
