package deploy

import (
	"errors"
	"fmt"
	"time"

	"ndock/registry"
	"ndock/registry/auth/htpasswd"
	"ndock/registry/config"
	"ndock/registry/trust"
)

// Options are those of a deployed registry, and how it is deployed. Run itself says Data, NextFile, Htpasswd and Control, and
// the registry's process has its own Timeouts, Drain, Log, Listening and Reload.
type Options struct {
	config.Options          // without CertFile, and unless Insecure, the registry gets a self-signed certificate
	Service        bool     // of this host's systemd, instead of a container
	Names          []string // besides those of Listen, of the certificate that is made
	User           string   // who may push and pull besides those who may already; without, whoever could before
	Password       string
	S3Keys         S3Keys
	LogFormat      string // text when empty

	Version  string        // of this ndock: the tag of the image
	Binary   string        // file to make the image of; the running program when empty
	CertsDir string        // where Docker on this host shall trust the registry; CertsDir when empty
	Timeout  time.Duration // until it must answer; 30 seconds when 0
	Report   registry.Reporter
}

// Check returns what is wrong with the options. It looks nothing up.
func (o Options) Check() error {
	for _, err := range []error{o.checkListen(), checkNames(o.Names), o.CheckEach()} {
		if err != nil {
			return err
		}
	}
	switch {
	case o.Keystone.URL != "" && o.User != "":
		return errors.New("--keystone and --user exclude each other")
	case len(o.Names) > 0 && o.mode() != tlsSelfSigned:
		return errors.New("--tls-name is for the certificate that ndock makes: leave out --tls-cert and --insecure")
	case o.CertFile != "" && o.Insecure:
		return errors.New("--insecure and --tls-cert exclude each other")
	case o.User == "" && o.Password == "":
		return nil
	}
	if err := htpasswd.CheckPassword(o.Password); err != nil {
		return err
	}
	return htpasswd.CheckUser(o.User)
}

// checkNames refuses what cannot be the name of a host, and of a directory in certs.d.
func checkNames(names []string) error {
	for _, name := range names {
		if !config.IsHostName(name) {
			return fmt.Errorf("--tls-name %q is not the name or address of a host", name)
		}
	}
	return nil
}

func (o Options) checkListen() error {
	if o.Listen == "" {
		return nil
	}
	_, err := config.ParseClientAddress(o.Listen)
	return err
}

func (o Options) withDefaults() Options {
	if o.CertsDir == "" {
		o.CertsDir = trust.CertsDir
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	return o
}

func (o Options) mode() string {
	switch {
	case o.Insecure:
		return tlsNone
	case o.CertFile != "":
		return tlsGiven
	}
	return tlsSelfSigned
}
