package deploy

import (
	"errors"
	"fmt"
	"os"

	"github.com/distribution/distribution/v3/configuration"
	"gopkg.in/yaml.v3"

	"ndock/registry"
	"ndock/registry/config"
)

// readConfiguration works out what the registry is told: what the operator's file and REGISTRY_… say, and above that the
// options, in distribution's format. It goes where the registry alone can read it, for it may have passwords in it.
func (d *deployment) readConfiguration() error {
	c, err := config.Options{Config: d.Config}.Parse()
	if err != nil {
		return err
	}
	for _, check := range []func(*configuration.Configuration) error{config.CheckSupported, d.contained} {
		if err := check(c); err != nil {
			return fmt.Errorf("use the configuration%s: %w", config.Options{Config: d.Config}.FromFile(), err)
		}
	}
	if d.Listen == "" {
		d.Listen = c.HTTP.Addr
	}
	if d.Listen == "" {
		d.Listen = config.DefaultListen
	}
	d.said = c
	return d.readFiles()
}

// contained refuses what names files that the registry does not find where it runs, or that ndock keeps itself.
func (d *deployment) contained(c *configuration.Configuration) error {
	dir, data := c.Storage["filesystem"]["rootdirectory"], d.paths().data
	for _, one := range []struct {
		said      bool
		key, hint string
	}{
		{c.HTTP.TLS.Certificate != "" || c.HTTP.TLS.Key != "", "http.tls.certificate", "give --tls-cert and --tls-key"},
		{c.HTTP.Prefix != "" && c.HTTP.Prefix != "/", "http.prefix", "Docker knows none"},
		{c.Auth["htpasswd"] != nil, "auth.htpasswd", "give --user, and others with 'ndock registry login-add'"},
		{c.Auth["keystone"]["cacert"] != nil, "auth.keystone.cacert", "give --keystone and --keystone-cacert"},
		{c.Auth != nil && d.User != "", "auth beside --user", "leave one of them out"},
		{dir != nil && dir != data, "storage.filesystem.rootdirectory", "leave it out: it is " + d.store()},
	} {
		if one.said {
			return &registry.Error{Err: fmt.Errorf("%s is not supported in a %s", one.key, d.kind()), Help: one.hint}
		}
	}
	return nil
}

// readFiles reads what the options name that the registry will need.
func (d *deployment) readFiles() (err error) {
	if d.Keystone.CACert != "" {
		if d.keystoneCA, err = os.ReadFile(d.Keystone.CACert); err != nil {
			return fmt.Errorf("read the CA of Keystone: %w", err)
		}
	}
	return d.Proxy.Override(&d.said.Proxy)
}

// decideConfiguration puts the configuration beside the files that it names.
func (d *deployment) decideConfiguration() error {
	c, o := d.said, config.Options{Listen: d.Listen, S3: d.S3, Metrics: d.Metrics, Keystone: d.Keystone}
	dir := d.paths().config
	if d.mode() != tlsNone {
		o.CertFile, o.KeyFile = dir+"/"+fileCert, dir+"/"+fileKey
	}
	if d.keystoneCA != nil {
		d.files[fileKeystoneCA], o.Keystone.CACert = d.keystoneCA, dir+"/"+fileKeystoneCA
	}
	if d.files[fileHtpasswd] != nil && c.Auth == nil && d.Keystone.URL == "" {
		o.Htpasswd = dir + "/" + fileHtpasswd
	}
	if err := o.Override(c); err != nil {
		return err
	}
	if o.Metrics != "" {
		c.HTTP.Debug.Addr = o.Metrics
	}
	d.S3Keys.put(c.Storage)
	if data := d.paths().data; c.Storage["filesystem"] != nil && data != config.DataDir {
		c.Storage["filesystem"]["rootdirectory"] = data
	}
	text, err := yaml.Marshal(c)
	d.files[fileConfig] = text
	return errors.Join(err, d.checkOpen(), d.Proxy.CheckReaders(c))
}

// checkOpen keeps a registry from becoming open to all because a command did not say again who knows its users.
func (d *deployment) checkOpen() error {
	before := d.kept.auth()
	if before == "" || d.files.auth() != "" {
		return nil
	}
	return &registry.Error{
		Op:   "deploy the registry",
		Err:  fmt.Errorf("it asks %s who may log in, and would let in anyone", before),
		Help: "give --keystone or --config again, or --user; 'ndock registry remove' before it has it open",
	}
}

// auth is by what the registry knows its users, such as htpasswd or keystone; empty when anyone may come in.
func (f files) auth() string {
	var said struct{ Auth map[string]any }
	text, ok := f[fileConfig]
	if !ok && len(f[fileHtpasswd]) > 0 { // of an older ndock
		return "htpasswd"
	}
	if yaml.Unmarshal(text, &said) != nil {
		return ""
	}
	for name := range said.Auth { // there is one
		return name
	}
	return ""
}

// bucket is where a registry stores that does not in its volume.
func (f files) bucket() string {
	var said struct {
		Storage map[string]struct{ Bucket string }
	}
	if yaml.Unmarshal(f[fileConfig], &said) != nil {
		return ""
	}
	return said.Storage["s3"].Bucket + said.Storage["s3aws"].Bucket // there is one
}

// S3Keys let a registry into its bucket.
type S3Keys struct{ Access, Secret string }

// put adds the keys to the storage that needs some.
func (k S3Keys) put(storage configuration.Storage) {
	p, ok := storage[storage.Type()]
	if ok && storage.Type() != "filesystem" && k.Access != "" && p["accesskey"] == nil && p["secretkey"] == nil {
		p["accesskey"], p["secretkey"] = k.Access, k.Secret
	}
}

// reachesOut tells whether the registry is a client of others, whose certificates it has to check.
func reachesOut(c *configuration.Configuration) bool {
	return c.Storage.Type() != "filesystem" || c.Proxy.RemoteURL != "" || c.Auth != nil && c.Auth.Type() != "htpasswd" ||
		len(c.Notifications.Endpoints) > 0
}

// systemCAs are the CAs that this host trusts: the image has none. Nil where they are in no place that is known.
func systemCAs() []byte {
	for _, name := range []string{os.Getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"} {
		if text, err := os.ReadFile(name); err == nil {
			return text
		}
	}
	return nil
}
