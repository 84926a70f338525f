package config

import (
	"testing"
	"time"

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

// Whatever a file has in it, it is refused with a sentence or taken.
func FuzzConfiguration(f *testing.F) {
	f.Add([]byte(defaultConfiguration))
	f.Add([]byte("version: 0.1\nstorage: {filesystem: {}, inmemory: {}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := parseConfiguration(text); err == nil {
			_ = CheckSupported(c)
		}
	})
}
