package deploy

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/distribution/distribution/v3/configuration"
	"gopkg.in/yaml.v3"

	"ndock/registry"
	"ndock/registry/config"
)

// readConfiguration reads the operator's file and REGISTRY_… in the environment, and the files that the options name.
// The configuration goes where only the registry can read it, because it may have passwords in it.
func (in *inputs) readConfiguration() error {
	c, err := in.Parse()
	if err != nil {
		return err
	}
	for _, check := range []func(*configuration.Configuration) error{config.CheckSupported, in.contained} {
		if err := check(c); err != nil {
			return fmt.Errorf("use the configuration%s: %w", in.FromFile(), err)
		}
	}
	if in.Listen == "" {
		in.Listen = c.HTTP.Addr
	}
	if in.Listen == "" {
		in.Listen = config.DefaultListen
	}
	in.configuration = c
	if err := in.readFiles(); err != nil {
		return err
	}
	if in.Glance, err = in.ParseGlance(c); err != nil {
		return fmt.Errorf("use the configuration%s: %w", in.FromFile(), err)
	}
	return nil
}

// contained refuses what names files that the registry would not find where it runs, or that ndock makes itself.
func (in *inputs) contained(c *configuration.Configuration) error {
	dir, data := c.Storage["filesystem"]["rootdirectory"], in.paths().data
	for _, one := range []struct {
		said      bool
		key, hint string
	}{
		{c.HTTP.TLS.Certificate != "" || c.HTTP.TLS.Key != "", "http.tls.certificate", "give --tls-cert and --tls-key"},
		{c.HTTP.Prefix != "" && c.HTTP.Prefix != "/", "http.prefix", "Docker knows none"},
		{c.Auth["htpasswd"] != nil, "auth.htpasswd", "give --user, and others with 'ndock registry login-add'"},
		{c.Auth["keystone"]["cacert"] != nil, "auth.keystone.cacert", "give --keystone and --keystone-cacert"},
		{c.Auth != nil && in.User != "", "auth beside --user", "leave one of them out"},
		{dir != nil && dir != data, "storage.filesystem.rootdirectory", "leave it out: it is " + in.dataName()},
	} {
		if one.said {
			return &registry.Error{Err: fmt.Errorf("%s is not supported in a %s", one.key, in.kind()), Help: one.hint}
		}
	}
	return nil
}

// readFiles reads the files that the options name and the registry will need, and writes the options over the configuration.
func (in *inputs) readFiles() (err error) {
	if in.Keystone.CACert != "" {
		if in.keystoneCA, err = os.ReadFile(in.Keystone.CACert); err != nil {
			return fmt.Errorf("read the CA of Keystone: %w", err)
		}
	}
	return in.Override(in.configuration)
}

// configure adds the configuration, which may name the files, and the files that it needs itself.
func (in inputs) configure(all, kept files) error {
	c, o := in.configuration, config.Options{Listen: in.Listen, S3: in.S3, Glance: in.Glance, Metrics: in.Metrics, Keystone: in.Keystone}
	dir := in.paths().config
	if in.mode() != tlsNone {
		o.CertFile, o.KeyFile = dir+"/"+fileCert, dir+"/"+fileKey
	}
	if in.keystoneCA != nil {
		all[fileKeystoneCA], o.Keystone.CACert = in.keystoneCA, dir+"/"+fileKeystoneCA
	}
	if all[fileHtpasswd] != nil && c.Auth == nil && in.Keystone.URL == "" {
		o.Htpasswd = dir + "/" + fileHtpasswd
	}
	if err := o.Override(c); err != nil {
		return err
	}
	if o.Metrics != "" {
		c.HTTP.Debug.Addr = o.Metrics
	}
	in.S3Keys.put(c.Storage)
	if data := in.paths().data; c.Storage["filesystem"] != nil && data != config.DataDir {
		c.Storage["filesystem"]["rootdirectory"] = data
	}
	if cas := systemCAs(); cas != nil && !in.Service && reachesOut(c) {
		all[fileSystemCAs] = cas
	}
	text, err := yaml.Marshal(c)
	all[fileConfig] = text
	return errors.Join(err, checkOpen(all, kept), in.Proxy.CheckReaders(c))
}

// checkOpen refuses to open a registry to all because a command did not say again who knows its users.
func checkOpen(all, kept files) error {
	before := kept.auth()
	if before == "" || all.auth() != "" {
		return nil
	}
	return &registry.Error{
		Op:   "deploy the registry",
		Err:  fmt.Errorf("it asks %s who may log in, and would let in anyone", before),
		Help: "give --keystone or --config again, or --user; 'ndock registry remove' before it has it open",
	}
}

// auth returns how the registry knows its users, such as htpasswd or keystone; empty if anyone may come in.
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

// inGlance is how status names where images are that are in Glance.
const inGlance = "Glance"

// elsewhere returns where images are that the registry does not keep on its host: in a bucket, or in Glance; empty for others.
func (f files) elsewhere() string {
	var said struct {
		Storage map[string]struct{ Bucket string }
	}
	if yaml.Unmarshal(f[fileConfig], &said) != nil {
		return ""
	}
	if _, ok := said.Storage["glance"]; ok {
		return inGlance
	}
	if bucket := said.Storage["s3"].Bucket + said.Storage["s3aws"].Bucket; bucket != "" { // there is one
		return "bucket " + bucket
	}
	return ""
}

// dataOf returns where a registry of these files, deployed as the options say, has its images.
func (o Options) dataOf(these files) string {
	here := "volume " + dataVolume
	if o.Service {
		here = onHost.data
	}
	return cmp.Or(these.elsewhere(), here)
}

// S3Keys let a registry into its bucket.
type S3Keys struct{ Access, Secret string }

// put adds the keys to a bucket that needs them.
func (k S3Keys) put(storage configuration.Storage) {
	kind := storage.Type()
	p, ok := storage[kind]
	if ok && (kind == "s3" || kind == "s3aws") && k.Access != "" && p["accesskey"] == nil && p["secretkey"] == nil {
		p["accesskey"], p["secretkey"] = k.Access, k.Secret
	}
}

// reachesOut returns whether the registry is a client of other servers, whose certificates it has to verify.
func reachesOut(c *configuration.Configuration) bool {
	return c.Storage.Type() != "filesystem" || c.Proxy.RemoteURL != "" || c.Auth != nil && c.Auth.Type() != "htpasswd" ||
		len(c.Notifications.Endpoints) > 0
}

// systemCAs returns the CAs that this host trusts, because the image has none; nil if they are not found.
func systemCAs() []byte {
	for _, name := range []string{os.Getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"} {
		if text, err := os.ReadFile(name); err == nil {
			return text
		}
	}
	return nil
}
