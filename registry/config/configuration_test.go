package config

import (
	"bytes"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"gopkg.in/yaml.v3"

	"ndock/registry/auth/keystone"
	"ndock/registry/internal/registrytest"
)

func TestConfigurationIsBelowOptions(t *testing.T) {
	t.Setenv("REGISTRY_HTTP_DRAINTIMEOUT", "9s")
	file := registrytest.Write(t, []byte(`{version: 0.1, storage: {s3: {bucket: b}}, http: {addr: "127.0.0.1:1", draintimeout: 7s}}`))
	o, c, err := Options{Config: file, Data: "/srv/data"}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	if o.Listen != "127.0.0.1:1" || o.Drain != 9*time.Second || c.Storage.Type() != "filesystem" || c.Storage.Parameters()["rootdirectory"] != "/srv/data" {
		t.Errorf("listens on %s, drains for %s, storage is %v", o.Listen, o.Drain, c.Storage)
	}
	if c.Storage["redirect"]["disable"] != true {
		t.Error("clients are sent to what is behind")
	}
}

func TestLoginsWithoutSettings(t *testing.T) {
	file := registrytest.Write(t, []byte("version: 0.1\nstorage: {filesystem: }\nauth: {keystone: }\n"))
	if _, c, err := (Options{Config: file, Log: slog.New(slog.DiscardHandler)}).Complete(); err != nil || c.Auth["keystone"] == nil {
		t.Errorf("got %v, %v", c, err)
	}
}

// FuzzConfiguration checks that what is taken has one storage, and stays the same when deploy writes it and serve reads it.
func FuzzConfiguration(f *testing.F) {
	f.Add([]byte(defaultConfiguration))
	f.Add([]byte("version: 0.1\nstorage: {filesystem: {}, inmemory: {}}"))
	f.Add([]byte("version: 0.1\nstorage: {s3: {bucket: b, accesskey: '0123', chunksize: 0x10}, cache: {blobdescriptor: inmemory}}\nauth: {htpasswd: {realm: r, path: '1e3'}}"))
	f.Add([]byte("version: 0.1\nstorage: filesystem\nhttp: {addr: ':1', draintimeout: 60s, headers: {A: [b]}}\nproxy: {remoteurl: 'http://a', password: 'no', ttl: 1h}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseConfiguration(text)
		if err != nil || CheckSupported(c) != nil {
			return
		}
		if kind := c.Storage.Type(); storageKinds[kind] == nil {
			t.Errorf("%q stores in %q", text, kind)
		}
		once := written(t, c)
		again, err := parseConfiguration(once)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", text, once, err)
		}
		if twice := written(t, again); !bytes.Equal(twice, once) || !reflect.DeepEqual(again.Storage, c.Storage) {
			t.Errorf("%q is written as %q, and that as %q", text, once, twice)
		}
	})
}

func written(t *testing.T, c *configuration.Configuration) []byte {
	t.Helper()
	text, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestImagesInGlance(t *testing.T) {
	good := Options{Glance: GlanceOptions{Used: true}, Listen: "127.0.0.1:0", Keystone: keystone.Options{URL: "https://keystone"}, Log: slog.New(slog.DiscardHandler)}
	registrytest.WantError(t, good.Check(), "")
	_, c, err := good.Complete()
	if err != nil || c.Storage.Type() != "inmemory" || c.Auth["keystone"]["glance"] != true {
		t.Errorf("%v, %v, %v", err, c.Storage, c.Auth)
	}
	for want, change := range map[string]func(*Options){
		"--data":               func(o *Options) { o.Data = "/srv" },
		"--s3-bucket":          func(o *Options) { o.S3.Bucket = "b" },
		"--proxy":              func(o *Options) { o.Proxy.URL = "https://other" },
		"--quota":              func(o *Options) { o.Quota = 1 },
		"--control":            func(o *Options) { o.Control = "/run/socket" },
		"--htpasswd":           func(o *Options) { o.Htpasswd = "users" },
		"--keystone-read":      func(o *Options) { o.Keystone.Read = keystone.ReadAuthenticated },
		"--keystone-push-role": func(o *Options) { o.Keystone.PushRoles = []string{"member"} },
	} {
		o := good
		change(&o)
		registrytest.WantError(t, o.Check(), "--glance and "+want+" exclude each other")
	}
	alone := good
	alone.Keystone = keystone.Options{}
	registrytest.WantError(t, alone.Check(), "--glance needs --keystone")
}

func TestFileForImagesInGlance(t *testing.T) {
	for want, file := range map[string]string{
		"":                               "auth: {keystone: {url: 'https://keystone'}}",
		"--glance needs --keystone":      "auth: {htpasswd: {realm: r, path: p}}",
		"--glance needs --keystone, or ": "{}",
		"proxy.remoteurl":                "auth: {keystone: {url: 'https://keystone'}}\nproxy: {remoteurl: 'https://other'}",
	} {
		if file == "{}" {
			file = ""
		}
		o := Options{Glance: GlanceOptions{Used: true}, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)}
		o.Config = registrytest.Write(t, []byte("version: 0.1\nstorage: {filesystem: {}}\n"+file))
		_, c, err := o.Complete()
		registrytest.WantError(t, err, want)
		if err == nil && c.Storage.Type() != "inmemory" {
			t.Errorf("images are stored in %v", c.Storage)
		}
	}
	file := registrytest.Write(t, []byte("version: 0.1\nstorage: {filesystem: {}}\nauth: {keystone: {url: 'https://keystone', glance: true}}"))
	if _, c, err := (Options{Config: file, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)}).Complete(); err != nil || c.Auth["keystone"]["glance"] != false {
		t.Errorf("a file alone lets everybody push: %v, %v", err, c.Auth)
	}
}
