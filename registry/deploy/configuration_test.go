package deploy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"

	"ndock/registry/auth/htpasswd"
	"ndock/registry/auth/keystone"
	"ndock/registry/config"
	"ndock/registry/internal/pkitest"
	"ndock/registry/internal/registrytest"
)

func TestDeployKeepsSecretsInTheConfigVolume(t *testing.T) {
	s := newSite(t)
	s.options.Proxy = config.ProxyOptions{URL: "http://127.0.0.1:1", User: "ci", PasswordFile: registrytest.Write(t, []byte("upstreams-own\n")), Public: true}
	s.options.MaxUploads, s.options.Metrics = 3, freeAddress(t)
	s.deploy()
	written := string(s.config()[fileConfig])
	for _, want := range []string{"password: upstreams-own", "remoteurl: http://127.0.0.1:1", "addr: " + s.options.Metrics} {
		if !strings.Contains(written, want) {
			t.Errorf("the configuration has no %q:\n%s", want, written)
		}
	}
	made := s.engine.only()
	if text := fmt.Sprint(made.Config, made.HostConfig); strings.Contains(text, "upstreams-own") || !strings.Contains(text, "--max-uploads 3") {
		t.Errorf("the container is made with %s", text)
	}
	s.deploy()
	if s.engine.Made != 1 {
		t.Error("the same options made another container")
	}
	s.options.Proxy.PasswordFile = registrytest.Write(t, []byte("another"))
	s.deploy()
	if s.engine.Made != 2 {
		t.Error("another password changed nothing")
	}
	s.options.Proxy, s.options.MaxUploads, s.options.Metrics = config.ProxyOptions{}, 0, ""
	s.deploy()
	if written := string(s.config()[fileConfig]); s.engine.Made != 3 || strings.Contains(written, "proxy") || strings.Contains(written, "debug") {
		t.Errorf("what is not said stays:\n%s", written)
	}
}

func TestDeployFollowsTheFile(t *testing.T) {
	s := newSite(t)
	s.options.Config = registrytest.Write(t, fmt.Appendf(nil, "version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/registry}}\nhttp: {addr: %q, draintimeout: 60s}\n", s.options.Listen))
	s.options.Listen = ""
	status := s.deploy()
	if config := string(s.config()[fileConfig]); !strings.Contains(config, "draintimeout: 60s") && !strings.Contains(config, "draintimeout: 1m0s") || !strings.Contains(config, strings.TrimPrefix(status.URL, "https://")) {
		t.Errorf("%s is told\n%s", status.URL, config)
	}
	if stopTimeout := s.engine.only().Config.StopTimeout; stopTimeout == nil || *stopTimeout != 65 {
		t.Errorf("the engine waits %v s for its end", stopTimeout)
	}
}

func TestDeployRefusesWhatTheContainerHasNot(t *testing.T) {
	for text, want := range map[string]string{
		"http: {tls: {certificate: a, key: b}}":  "http.tls.certificate is not supported in a container",
		"http: {prefix: /a/}":                    "http.prefix is not supported in a container",
		"auth: {htpasswd: {realm: a, path: b}}":  "auth.htpasswd is not supported in a container",
		"auth: {keystone: {url: a, cacert: b}}":  "auth.keystone.cacert is not supported in a container",
		"log: {level: debug}":                    "log.level is not supported",
		"storage: {filesystem: {maxthreads: a}}": "already defined",
		"htpp: {}":                               "field htpp not found",
	} {
		s := newSite(t)
		s.options.Config = registrytest.Write(t, []byte("version: 0.1\nstorage: {filesystem: {}}\n"+text+"\n"))
		s.fails(want)
		if s.engine.Made != 0 {
			t.Error("something was made all the same")
		}
	}
}

// Who knows the users must be said again, or somebody else be named: nothing becomes open by an upgrade.
func TestDeployWithKeystone(t *testing.T) {
	s := newSite(t)
	asks := keystone.Options{URL: "http://127.0.0.1:1/v3", CACert: registrytest.Write(t, pkitest.ServerPair(t, time.Now()).Cert)}
	s.options.Keystone = asks
	if status := s.deploy(); len(status.Users) != 0 {
		t.Errorf("users are %v", status.Users)
	}
	config := s.config()
	if config.auth() != "keystone" || config[fileKeystoneCA] == nil || !strings.Contains(string(config[fileConfig]), configDir+"/"+fileKeystoneCA) {
		t.Errorf("the config volume has %v, and in it\n%s", config.names(), config[fileConfig])
	}
	registrytest.WantError(t, htpasswd.AddLogin(t.Context(), Logins(s.host()), "ops", "secret", s), "the registry asks keystone who may log in")
	s.options.Keystone = keystone.Options{}
	s.fails("it asks keystone who may log in, and would let in anyone")
	s.options.User, s.options.Password = "ci", "secret"
	if status := s.deploy(); len(status.Users) != 1 {
		t.Errorf("users are %v", status.Users)
	}
	s.options.User, s.options.Password, s.options.Keystone = "", "", asks
	if status := s.deploy(); len(status.Users) != 0 {
		t.Errorf("with Keystone, users are %v", status.Users)
	}
	s.options.Keystone = keystone.Options{}
	if status := s.deploy(); len(status.Users) != 1 {
		t.Errorf("the logins that were there are gone: %v", status.Users)
	}
}

// TestDeployWithKeysWithoutValues deploys with files that leave a key's value out, which stands for its defaults.
func TestDeployWithKeysWithoutValues(t *testing.T) {
	for text, want := range map[string]string{
		"filesystem: , delete: {enabled: true}": "rootdirectory: " + onHost.data,
		"delete: {enabled: true}, filesystem: ": "enabled: true",
		"s3: , delete: {enabled: true}":         "secretkey: key",
	} {
		o := config.Options{Listen: "127.0.0.1:5050", Config: registrytest.Write(t, []byte("version: 0.1\nstorage: {"+text+"}\n"))}
		in := inputs{Options: Options{Options: o, Service: true, S3Keys: S3Keys{"id", "key"}}}
		if err := in.readConfiguration(); err != nil {
			t.Fatal(err)
		}
		made := files{}
		if err := in.configure(made, files{}); err != nil || !strings.Contains(string(made[fileConfig]), want) {
			t.Errorf("%s: %v, the configuration is\n%s", text, err, made[fileConfig])
		}
	}
}

func TestS3KeysGoIntoTheConfiguration(t *testing.T) {
	own := configuration.Parameters{"bucket": "a", "accesskey": "own", "secretkey": "own"}
	for _, storage := range []configuration.Storage{{"s3": {"bucket": "a"}}, {"s3": own}, {"filesystem": {}}, {"glance": {}}} {
		S3Keys{Access: "id", Secret: "key"}.put(storage)
		p := storage.Parameters()
		want := map[string]any{"s3": "id", "filesystem": nil}[storage.Type()]
		if p["bucket"] != nil && len(p) == 3 && p["accesskey"] == "own" {
			want = "own"
		}
		if p["accesskey"] != want {
			t.Errorf("%s has %v", storage.Type(), p)
		}
	}
	in := inputs{Options: Options{Options: config.Options{Listen: "127.0.0.1:5050", S3: config.S3Options{Bucket: "images"}}, S3Keys: S3Keys{"id", "key"}}}
	if err := in.readConfiguration(); err != nil {
		t.Fatal(err)
	}
	made := files{}
	if err := in.configure(made, files{}); err != nil {
		t.Fatal(err)
	}
	if text := string(made[fileConfig]); !strings.Contains(text, "secretkey: key") || made.elsewhere() != "bucket images" {
		t.Errorf("the configuration is\n%s", text)
	}
}
