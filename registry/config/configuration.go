// Package config has what a registry can be told: a configuration file in distribution's format, and options, which win over
// the file. What ndock cannot do is refused here, before anything is served or deployed.
package config

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/distribution/distribution/v3/configuration"
	"gopkg.in/yaml.v3"
)

// DefaultListen is where a registry listens by default.
const DefaultListen = "127.0.0.1:5050"

// DataDir is where a registry stores images by default.
const DataDir = "/var/lib/registry"

// defaultConfiguration is used without a file.
const defaultConfiguration = `version: 0.1
storage:
  filesystem: {}
  delete: {enabled: true}
`

// Complete reads the configuration file and REGISTRY_… in the environment. It returns the options with what they say
// added, and distribution's configuration. Options win over both.
func (o Options) Complete() (Options, *configuration.Configuration, error) {
	c, err := o.Parse()
	if err != nil {
		return o, nil, err
	}
	if err := CheckSupported(c); err != nil {
		return o, nil, fmt.Errorf("use the configuration%s: %w", o.FromFile(), err)
	}
	if err := o.Override(c); err != nil {
		return o, nil, err
	}
	if o.Glance, err = o.ParseGlance(c); err != nil {
		return o, nil, fmt.Errorf("use the configuration%s: %w", o.FromFile(), err)
	}
	o.adopt(c)
	return o, c, errors.Join(o.Limits.Check(c.Proxy.RemoteURL), o.checkServed(), o.Proxy.CheckReaders(c))
}

// FromFile returns the quoted name of the file for errors, after a space; empty without a file.
func (o Options) FromFile() string {
	if o.Config == "" {
		return ""
	}
	return fmt.Sprintf(" %q", o.Config)
}

// Parse reads the file and REGISTRY_… in the environment.
func (o Options) Parse() (*configuration.Configuration, error) {
	text := []byte(defaultConfiguration)
	if o.Config != "" {
		var err error
		if text, err = os.ReadFile(o.Config); err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
	}
	c, err := parseConfiguration(text)
	if err != nil {
		return nil, fmt.Errorf("read the configuration%s: %w", o.FromFile(), err)
	}
	return c, nil
}

// parseConfiguration has distribution read the text, after a check for unknown keys, which distribution ignores.
func parseConfiguration(text []byte) (c *configuration.Configuration, err error) {
	strict := yaml.NewDecoder(bytes.NewReader(text))
	strict.KnownFields(true)
	if err := strict.Decode(&configuration.Configuration{}); err != nil {
		return nil, withoutGoTypes(err)
	}
	err = CatchPanic(func() error {
		c, err = configuration.Parse(bytes.NewReader(text))
		return err
	})
	if err != nil {
		return nil, err
	}
	fillIn(c.Storage)
	fillIn(c.Auth)
	return c, nil
}

// fillIn gives keys without a value, such as "filesystem:", empty parameters: parameters are added to them, and
// distribution writes a storage without any as its kind alone.
func fillIn(all map[string]configuration.Parameters) {
	for key, parameters := range all {
		if parameters == nil {
			all[key] = configuration.Parameters{}
		}
	}
}

// withoutGoTypes removes Go's types from an error of the YAML library.
func withoutGoTypes(err error) error {
	var many *yaml.TypeError
	if !errors.As(err, &many) {
		return err
	}
	first, _, _ := strings.Cut(many.Errors[0], " in type ")
	return errors.New(first)
}

// CatchPanic returns a panic as an error. Distribution refuses a configuration that way.
func CatchPanic(f func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%v", cause)
		}
	}()
	return f()
}

// Override writes the options over the configuration.
func (o Options) Override(c *configuration.Configuration) error {
	if o.Listen != "" {
		c.HTTP.Addr = o.Listen
	}
	if o.CertFile != "" {
		c.HTTP.TLS.Certificate, c.HTTP.TLS.Key = o.CertFile, o.KeyFile
	}
	if o.Data != "" {
		setStorage(c, "filesystem", configuration.Parameters{"rootdirectory": o.Data})
	}
	if o.Glance.Used {
		o.Glance.override(c)
	}
	if o.S3.Bucket != "" {
		setStorage(c, "s3", o.S3.parameters())
	}
	if auth := o.auth(); auth != nil {
		c.Auth = auth
	}
	if o.Drain != 0 {
		c.HTTP.DrainTimeout = o.Drain
	}
	return o.Proxy.Override(&c.Proxy)
}

// adopt takes over what distribution's handlers do not act on, and sets defaults.
func (o *Options) adopt(c *configuration.Configuration) {
	if c.HTTP.Addr == "" {
		c.HTTP.Addr = DefaultListen
	}
	if c.HTTP.Secret == "" {
		c.HTTP.Secret = rand.Text() // signs the state of uploads, which do not outlive the process
	}
	o.Listen, o.Drain = c.HTTP.Addr, c.HTTP.DrainTimeout
	o.CertFile, o.KeyFile = c.HTTP.TLS.Certificate, c.HTTP.TLS.Key
	o.Timeouts = o.Timeouts.withDefaults()
	o.MaxOpenUploads = cmp.Or(o.MaxOpenUploads, DefaultOpenUploads)
	o.MaxConnections = cmp.Or(o.MaxConnections, DefaultConnections)
	o.MaxConnectionsPerClient = cmp.Or(o.MaxConnectionsPerClient, DefaultConnectionsPerClient)
	if o.Drain == 0 {
		o.Drain = DefaultDrain
	}
	if c.HTTP.Debug.Addr != "" && o.Metrics == "" {
		o.Metrics = c.HTTP.Debug.Addr
	}
	c.HTTP.Debug.Prometheus.Enabled = false // ndock counts requests itself
	c.Middleware = nil                      // what CheckSupported lets pass is disabled, which distribution does not look at
	if c.Storage["maintenance"]["uploadpurging"] == nil {
		setPurging(c)
	}
	for name, value := range c.Log.Fields {
		o.Log = o.Log.With(name, value)
	}
	for _, parameters := range c.Auth {
		parameters["log"] = o.Log
	}
	if parameters := c.Auth["keystone"]; parameters != nil {
		parameters["glance"] = o.Glance.Used
	}
	if o.Glance.Used {
		setStorage(c, "inmemory", configuration.Parameters{}) // distribution wants one, and nothing comes there
	}
	if dir, ok := c.Storage["filesystem"]; ok && dir["rootdirectory"] == nil {
		setStorage(c, "filesystem", configuration.Parameters{"rootdirectory": DataDir, "maxthreads": dir["maxthreads"]})
	}
	if _, ok := c.Storage["redirect"]; !ok {
		c.Storage["redirect"] = configuration.Parameters{"disable": true} // clients often do not reach what is behind
	}
	// A cache of blobs would say that one is there which garbage collection has removed, here or in another process.
	delete(c.Storage, "cache")
}

// setStorage replaces the kind of storage. The settings for all kinds stay.
func setStorage(c *configuration.Configuration, kind string, parameters configuration.Parameters) {
	for key := range c.Storage {
		if _, ok := storageKinds[key]; ok {
			delete(c.Storage, key)
		}
	}
	c.Storage[kind] = parameters
}

// setPurging has broken uploads removed after a day, not after distribution's week.
func setPurging(c *configuration.Configuration) {
	if c.Storage["maintenance"] == nil {
		c.Storage["maintenance"] = configuration.Parameters{}
	}
	c.Storage["maintenance"]["uploadpurging"] = map[any]any{"enabled": true, "age": "24h", "interval": "1h", "dryrun": false}
}
