package config

import (
	"log/slog"
	"testing"

	"ndock/registry/auth/keystone"
	"ndock/registry/internal/registrytest"
)

const glanceFile = "version: 0.1\nstorage: {glance: {region: one, interface: internal}}\nauth: {keystone: {url: 'http://keystone/v3', insecure: true}}\n"

func TestGlanceInTheFile(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	file := registrytest.Write(t, []byte(glanceFile))
	users := keystone.Options{URL: "https://keystone/v3", CACert: "ca.crt"}
	for _, test := range []struct {
		name  string
		given Options
		want  GlanceOptions
	}{
		{"the file alone", Options{Config: file}, GlanceOptions{Used: true, Region: "one", Interface: "internal", Insecure: true}},
		{"flags over it", Options{Config: file, Glance: GlanceOptions{Used: true, Region: "two"}, Keystone: users}, GlanceOptions{Used: true, Region: "two", Interface: "internal", CACert: "ca.crt"}},
		{"flags alone", Options{Listen: DefaultListen, Glance: GlanceOptions{Used: true}, Keystone: users}, GlanceOptions{Used: true, CACert: "ca.crt"}},
		{"a directory over the file", Options{Config: file, Data: "/srv"}, GlanceOptions{}},
	} {
		test.given.Log = quiet
		o, c, err := test.given.Complete()
		if err != nil || o.Glance != test.want || c.Auth["keystone"]["glance"] != test.want.Used {
			t.Errorf("%s: %+v, %v", test.name, o.Glance, err)
		}
	}
}

func TestGlanceIsRefused(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	for want, text := range map[string]string{
		"must provide exactly one storage type":             "storage: {glance: {}, filesystem: {}}",
		"storage.glance.zone is not known":                  "storage: {glance: {zone: a}}",
		"storage.glance.region: 1 is no text":               "storage: {glance: {region: 1}}",
		`is public, internal or admin, not "secret"`:        "storage: {glance: {interface: secret}}\nauth: {keystone: {url: 'http://localhost/v3'}}",
		"--glance needs --keystone, or auth.keystone and":   "storage: {glance: {}}\nauth: {htpasswd: {realm: a, path: b}}",
		"authenticated cannot read elsewhere":               "storage: {glance: {}}\nauth: {keystone: {url: 'http://localhost/v3', read: authenticated}}",
		"is for Glance's policy to say, not for push roles": "storage: {glance: {}}\nauth: {keystone: {url: 'http://localhost/v3', push-roles: [a]}}",
		"proxy.remoteurl exclude each other":                "storage: {glance: {}}\nproxy: {remoteurl: 'http://a'}\nauth: {keystone: {url: 'http://localhost/v3'}}",
	} {
		_, _, err := Options{Config: registrytest.Write(t, []byte("version: 0.1\n"+text+"\n")), Log: quiet}.Complete()
		registrytest.WantError(t, err, want)
	}
	for want, o := range map[string]Options{
		"--quota exclude each other":   {Limits: Limits{Quota: 1}},
		"--control exclude each other": {Control: "socket"},
	} {
		o.Config, o.Log = registrytest.Write(t, []byte(glanceFile)), quiet
		_, _, err := o.Complete()
		registrytest.WantError(t, err, want)
	}
	for want, o := range map[string]Options{
		"are for --glance":             {Glance: GlanceOptions{Region: "one"}},
		"--glance needs --keystone":    {Glance: GlanceOptions{Used: true}},
		"--data exclude each other":    {Glance: GlanceOptions{Used: true}, Data: "/srv"},
		"--control exclude each other": {Glance: GlanceOptions{Used: true}, Control: "socket"},
	} {
		registrytest.WantError(t, o.Check(), want)
	}
}
