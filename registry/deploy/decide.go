package deploy

import (
	"bytes"
	"context"
	"net"
	"time"

	"ndock/registry/auth/htpasswd"
	"ndock/registry/config"
	"ndock/registry/pki"
	"ndock/registry/trust"
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
	if d.files.auth() == "" && !d.at.Loopback() {
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
	text, err := htpasswd.WithLogin(kept, d.User, d.Password)
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
		if ca, server, err = ca.Renew(config.Unique(append(d.at.Names(), d.Names...)), now); err != nil {
			return err
		}
	}
	d.files.put(fileCert, fileKey, server[0])
	d.files[fileNext] = server[1:].Encode()
	d.files.put(fileCA, fileCAKey, ca)
	return nil
}

// keeps tells whether the registry goes on with its certificates: until the CA's end, and as long as they have the names
// that were asked for. An address that the host has got or lost since is no reason to make others.
func (d *deployment) keeps(server pki.Series, ca pki.Pair, now time.Time) bool {
	if last := server.End(); len(server) == 0 || last.Before(ca.End()) || last.Before(now.Add(pki.AuthorityRenewal)) {
		return false
	}
	names := config.Unique(append(d.at.RequiredNames(), d.Names...))
	return server.At(now).Covers(names, ca, now)
}

// url is where clients are to look for the registry: by a name that its certificate has.
func (d *deployment) url() string {
	scheme, host := "https", d.at.Name()
	switch d.mode() {
	case tlsNone:
		scheme = "http"
	case tlsGiven:
		host = d.given.NameOr(host)
	}
	return scheme + "://" + net.JoinHostPort(host, d.at.Port)
}

// registries are HOST:PORT under all names by which Docker on this host may call the registry.
func (d *deployment) registries() []string {
	if d.mode() != tlsSelfSigned {
		return nil
	}
	return d.files.registries(d.at.Port)
}

func (f files) registries(port string) []string {
	var all []string
	for _, name := range f.pair(fileCert, fileKey).Names() {
		all = append(all, net.JoinHostPort(name, port))
	}
	return all
}

// trust makes Docker on this host trust the registry's own CA where it is used, and nowhere else.
func (d *deployment) trust(context.Context) (err error) {
	certs, before, ca := trust.Certs{Dir: d.CertsDir}, d.kept[fileCA], d.files[fileCA]
	if !bytes.Equal(before, ca) {
		if d.trusted, err = certs.Sync(d.Report, nil, before); err != nil {
			return err
		}
	}
	changed, err := certs.Sync(d.Report, d.registries(), ca)
	d.trusted = append(d.trusted, changed...)
	return err
}
