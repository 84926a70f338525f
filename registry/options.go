package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"ndock/registry/htpasswd"
	"ndock/registry/keystone"
)

// ServeOptions are what a registry in the foreground can be told.
type ServeOptions struct {
	Config   string    // file in distribution's format; what the others say goes first
	Listen   string    // HOST:PORT
	Data     string    // directory; made if missing
	S3       S3Options // instead of a directory
	CertFile string    // TLS, with KeyFile; plain HTTP without
	KeyFile  string
	NextFile string           // certificates that take the place of the first in time, each before its key; none without
	Htpasswd string           // file; anyone may push and pull without
	Insecure bool             // plain HTTP even where other hosts see it
	Control  string           // unix socket on which the registry is asked to collect its garbage; none without
	Keystone keystone.Options // whose users may push and pull, in the place of Htpasswd; nobody's when without URL

	Proxy       ProxyOptions
	Metrics     string // HOST:PORT for metrics and health; none without
	MaxBlobSize int64  // bytes; any size when 0
	MaxUploads  int    // at a time; any number when 0
	Quota       int64  // bytes that a namespace may take; any number when 0

	MaxOpenUploads          int // of a namespace at a time; 1000 when 0
	MaxConnections          int // open at a time; 4096 when 0
	MaxConnectionsPerClient int // of one address, or one /64 of IPv6; 512 when 0

	Timeouts  Timeouts
	Drain     time.Duration          // for requests under way when it is to end; 25 seconds when 0
	Log       *slog.Logger           // a line a request
	Listening func(what, url string) // called when clients may come
	Reload    <-chan os.Signal       // when the certificate is to be read again
}

// Check tells what is wrong with the options as such; nothing is looked up.
func (o ServeOptions) Check() error {
	for _, err := range []error{o.S3.check(), o.Proxy.check(), checkQuota(o.Quota, o.Proxy.URL), checkMetrics(o.Metrics), checkConnections(o.MaxConnections, o.MaxConnectionsPerClient)} {
		if err != nil {
			return err
		}
	}
	switch {
	case (o.CertFile == "") != (o.KeyFile == ""):
		return errors.New("--tls-cert and --tls-key go together")
	case o.NextFile != "" && o.CertFile == "" && o.Config == "":
		return errors.New("--tls-next is for --tls-cert and --tls-key")
	case o.MaxBlobSize < 0 || o.MaxUploads < 0 || o.MaxOpenUploads < 0:
		return errors.New("--max-blob-size, --max-uploads and --max-open-uploads are not negative")
	case o.Data != "" && o.S3.Bucket != "":
		return errors.New("--data and --s3-bucket exclude each other")
	case o.Config != "":
		return nil // the file may say the rest
	case o.Data == "" && o.S3.Bucket == "":
		return errors.New("--data is missing: the directory for what is pushed")
	}
	return o.checkServed()
}

func checkMetrics(listen string) error {
	if listen == "" {
		return nil
	}
	_, err := parseAddress(listen)
	return err
}

// checkServed does so when all is said that will be.
func (o ServeOptions) checkServed() error {
	at, err := parseAddress(o.Listen)
	switch {
	case err != nil:
		return err
	case (o.CertFile == "") != (o.KeyFile == ""):
		return errors.New("the certificate (http.tls.certificate) and the key (http.tls.key) go together")
	case o.CertFile == "" && !at.loopback() && !o.Insecure:
		return fmt.Errorf("plain HTTP on %s shows images and passwords to the network: give --tls-cert and --tls-key, or --insecure to have it so", at)
	}
	if o.Keystone.URL != "" && o.Htpasswd != "" {
		return errors.New("--keystone and --htpasswd exclude each other")
	}
	return checkKeystone(o.Keystone)
}

func checkKeystone(k keystone.Options) error {
	switch {
	case k.URL == "" && (k.CACert != "" || k.Domain != "" || k.Read != "" || len(k.PushRoles) > 0):
		return errors.New("--keystone is missing: where is it?")
	case k.URL == "":
		return nil
	}
	return k.Check()
}

// DeployOptions are what a deployed registry can be told.
type DeployOptions struct {
	Service  bool   // of this host's systemd, instead of a container
	Image    string // of distribution's own registry, to run instead of ndock's; pulled if the engine has it not
	Config   string // file in distribution's format; what the others say goes first
	Listen   string // HOST:PORT; where the file says, or the default, when empty
	CertFile string // TLS with these, with KeyFile; self-signed without
	KeyFile  string
	Names    []string // besides those of Listen, of the certificate that is made
	Insecure bool     // plain HTTP
	User     string   // who may push and pull besides those who may already; without, whoever could before
	Password string

	Keystone    keystone.Options // whose users may push and pull instead; nobody's when without URL
	S3          S3Options        // instead of the volume
	S3Keys      S3Keys
	Proxy       ProxyOptions
	Metrics     string // HOST:PORT for metrics and health; none without
	MaxBlobSize int64  // bytes; any size when 0
	MaxUploads  int    // at a time; any number when 0
	Quota       int64  // bytes that a namespace may take; any number when 0
	LogFormat   string // text when empty

	MaxOpenUploads          int // of a namespace at a time; 1000 when 0
	MaxConnections          int // open at a time; 4096 when 0
	MaxConnectionsPerClient int // of one address, or one /64 of IPv6; 512 when 0

	Version  string        // of this ndock: the tag of the image
	Binary   string        // file to make the image of; the running program when empty
	CertsDir string        // where Docker on this host shall trust the registry; CertsDir when empty
	Timeout  time.Duration // until it must answer; 30 seconds when 0
	Report   Reporter
}

// Check tells what is wrong with the options as such; nothing is looked up.
func (o DeployOptions) Check() error {
	for _, err := range []error{o.checkListen(), checkNames(o.Names), o.S3.check(), o.Proxy.check(), checkQuota(o.Quota, o.Proxy.URL), checkMetrics(o.Metrics), checkKeystone(o.Keystone), o.checkStock(), checkConnections(o.MaxConnections, o.MaxConnectionsPerClient)} {
		if err != nil {
			return err
		}
	}
	switch {
	case o.MaxBlobSize < 0 || o.MaxUploads < 0 || o.MaxOpenUploads < 0:
		return errors.New("--max-blob-size, --max-uploads and --max-open-uploads are not negative")
	case o.Keystone.URL != "" && o.User != "":
		return errors.New("--keystone and --user exclude each other")
	case (o.CertFile == "") != (o.KeyFile == ""):
		return errors.New("--tls-cert and --tls-key go together")
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

// checkNames refuses what cannot be the name of a host, and of a directory below certs.d.
func checkNames(names []string) error {
	for _, name := range names {
		if !hostName.MatchString(name) || strings.Contains(name, "..") {
			return fmt.Errorf("--tls-name %q is not the name or address of a host", name)
		}
	}
	return nil
}

func (o DeployOptions) checkListen() error {
	if o.Listen == "" {
		return nil
	}
	_, err := parseClientAddress(o.Listen)
	return err
}

func (o DeployOptions) withDefaults() DeployOptions {
	if o.CertsDir == "" {
		o.CertsDir = CertsDir
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	return o
}

func (o DeployOptions) mode() string {
	switch {
	case o.Insecure:
		return tlsNone
	case o.CertFile != "":
		return tlsGiven
	}
	return tlsSelfSigned
}
