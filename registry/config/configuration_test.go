package config

import (
	"bytes"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"gopkg.in/yaml.v3"

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
