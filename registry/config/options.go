package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/distribution/distribution/v3/configuration"

	"ndock/registry/auth/keystone"
	"ndock/registry/glance"
)

// DefaultDrain is how long requests under way may take when the registry ends.
const DefaultDrain = 25 * time.Second

// realm is what clients show when they ask for a password.
const realm = "ndock registry"

// The limits that hold unless the options say otherwise.
const (
	DefaultOpenUploads          = 1000 // of a namespace at a time
	DefaultConnections          = 4096 // open at a time
	DefaultConnectionsPerClient = 512
)

// Options are what a registry can be told. One in the foreground has all of them; deploy has its own say in some.
type Options struct {
	Config   string    // file in distribution's format; what the others say goes first
	Listen   string    // HOST:PORT; where the file says, or the default, when empty
	Data     string    // directory; made if missing
	S3       S3Options // instead of a directory
	CertFile string    // TLS, with KeyFile; plain HTTP without
	KeyFile  string
	NextFile string           // certificates that take the place of the first in time, each before its key; none without
	Htpasswd string           // file; anyone may push and pull without
	Insecure bool             // plain HTTP even where other hosts see it
	Control  string           // unix socket on which the registry is asked to collect its garbage; none without
	Keystone keystone.Options // whose users may push and pull, in the place of Htpasswd; nobody's when without URL
	Glance   GlanceOptions    // in the place of Data
	// OpenGlance returns how the users' projects are opened; for Glance only.
	OpenGlance func(GlanceOptions, *slog.Logger) (glance.Opener, error)

	Proxy   ProxyOptions
	Metrics string // HOST:PORT for metrics and health; none without
	Limits

	Timeouts  Timeouts
	Drain     time.Duration          // for requests under way when it is to end; 25 seconds when 0
	Log       *slog.Logger           // a line a request
	Listening func(what, url string) // called when clients may come
	Reload    <-chan os.Signal       // when the certificate is to be read again
}

// Check returns what is wrong with the options of a registry in the foreground. It looks nothing up.
func (o Options) Check() error {
	if err := o.CheckEach(); err != nil {
		return err
	}
	switch {
	case o.NextFile != "" && o.CertFile == "" && o.Config == "":
		return errors.New("--tls-next is for --tls-cert and --tls-key")
	case o.Data != "" && o.S3.Bucket != "":
		return errors.New("--data and --s3-bucket exclude each other")
	case o.Config != "":
		return nil // the file may say the rest
	case o.Data == "" && o.S3.Bucket == "" && !o.Glance.Used:
		return errors.New("--data is missing: the directory for what is pushed")
	}
	return o.checkServed()
}

// CheckEach returns what is wrong with an option wherever the registry runs. It looks nothing up.
func (o Options) CheckEach() error {
	for _, err := range []error{
		o.S3.Check(), o.Proxy.Check(), o.Limits.Check(o.Proxy.URL), checkMetrics(o.Metrics), checkKeystone(o.Keystone),
		o.Glance.check(), o.checkGlance(),
	} {
		if err != nil {
			return err
		}
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return errors.New("--tls-cert and --tls-key go together")
	}
	return nil
}

// checkMetrics checks the address for metrics and health.
func checkMetrics(listen string) error {
	if listen == "" {
		return nil
	}
	_, err := ParseAddress(listen)
	return err
}

// checkServed checks the options when the file is read, too.
func (o Options) checkServed() error {
	at, err := ParseAddress(o.Listen)
	switch {
	case err != nil:
		return err
	case (o.CertFile == "") != (o.KeyFile == ""):
		return errors.New("the certificate (http.tls.certificate) and the key (http.tls.key) go together")
	case o.CertFile == "" && !at.Loopback() && !o.Insecure:
		return fmt.Errorf("plain HTTP on %s shows images and passwords to the network: give --tls-cert and --tls-key, or --insecure to have it so", at)
	}
	if o.Keystone.URL != "" && o.Htpasswd != "" {
		return errors.New("--keystone and --htpasswd exclude each other")
	}
	return nil
}

// checkKeystone checks the options of logins by Keystone.
func checkKeystone(k keystone.Options) error {
	switch {
	case k.URL == "" && (k.CACert != "" || k.Domain != "" || k.Read != "" || len(k.PushRoles) > 0):
		return errors.New("--keystone is missing: where is it?")
	case k.URL == "":
		return nil
	}
	return k.Check()
}

// Timeouts end the connections of idle clients. Zero means the default. A transfer may take any time while bytes move.
type Timeouts struct {
	Header time.Duration // for a TLS handshake, and for the header of a request
	Idle   time.Duration // between two requests
	Stall  time.Duration // in which some bytes of a body must move
}

func (t Timeouts) withDefaults() Timeouts {
	return Timeouts{
		Header: cmp.Or(t.Header, 10*time.Second),
		Idle:   cmp.Or(t.Idle, 2*time.Minute),
		Stall:  cmp.Or(t.Stall, 2*time.Minute),
	}
}

// auth returns the part of distribution's configuration for logins; nil if anyone may come in.
func (o Options) auth() configuration.Auth {
	switch {
	case o.Htpasswd != "":
		return configuration.Auth{"htpasswd": {"realm": realm, "path": o.Htpasswd}}
	case o.Keystone.URL != "":
		parameters := o.Keystone.Parameters()
		parameters["realm"] = realm
		return configuration.Auth{"keystone": parameters}
	}
	return nil
}
