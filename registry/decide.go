package registry

import (
	"bytes"
	"context"
	"net"
	"time"
)

// decide works out how the registry shall be configured, and what it shall be made with.
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
	return d.place.plan()
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
	ca, server := d.kept.pair(fileCA, fileCAKey), d.kept.series()
	if !d.keeps(server, ca, now) {
		var err error
		if ca, server, err = ca.renew(unique(append(d.at.names(), d.Names...)), now); err != nil {
			return err
		}
	}
	d.files.put(fileCert, fileKey, server[0])
	d.files[fileNext] = server[1:].encode()
	d.files.put(fileCA, fileCAKey, ca)
	return nil
}

// keeps tells whether the registry goes on with its certificates: until the CA's end, and as long as they have the names
// that were asked for. An address that the host has got or lost since is no reason to make others.
func (d *deployment) keeps(server series, ca pair, now time.Time) bool {
	if d.Image != "" { // which knows only the first
		server = server[:min(1, len(server))]
	} else if last := server.end(); len(server) == 0 || last.Before(ca.end()) || last.Before(now.Add(authorityRenewal)) {
		return false
	}
	names := unique(append(d.at.asked(), d.Names...))
	return server.at(now).covers(names, ca, now)
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

// registries are HOST:PORT under all names by which Docker on this host may call the registry.
func (d *deployment) registries() []string {
	if d.mode() != tlsSelfSigned {
		return nil
	}
	return d.files.registries(d.at.port)
}

func (f files) registries(port string) []string {
	var all []string
	for _, name := range f.pair(fileCert, fileKey).names() {
		all = append(all, net.JoinHostPort(name, port))
	}
	return all
}

// trust makes Docker on this host trust the registry's own CA where it is used, and nowhere else.
func (d *deployment) trust(context.Context) (err error) {
	certs, before, ca := trust{d.CertsDir}, d.kept[fileCA], d.files[fileCA]
	if !bytes.Equal(before, ca) {
		if d.trusted, err = certs.sync(d.Report, nil, before); err != nil {
			return err
		}
	}
	changed, err := certs.sync(d.Report, d.registries(), ca)
	d.trusted = append(d.trusted, changed...)
	return err
}
