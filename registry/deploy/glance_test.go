package deploy

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/registry"
	"ndock/registry/auth/htpasswd"
	"ndock/registry/auth/keystone"
	"ndock/registry/config"
	"ndock/registry/control"
	"ndock/registry/glance"
	"ndock/registry/internal/pkitest"
	"ndock/registry/internal/registrytest"
)

// noGlance is for registries whose images nobody asks for.
func noGlance(config.GlanceOptions, *slog.Logger) (glance.Opener, error) {
	return func(context.Context, *glance.Login) (glance.Project, error) { return nil, glance.ErrNotFound }, nil
}

// inTheCloud are the options of a registry whose images are in Glance.
func (s *site) inTheCloud() *site {
	s.options.Glance, s.options.Keystone = config.GlanceOptions{Used: true}, keystone.Options{URL: "http://127.0.0.1:1/v3"}
	return s
}

// stores returns whether there is a place for images on the site's host.
func (s *site) stores() bool {
	_, volume := os.Stat(filepath.Join(s.engine.VolumesDir, dataVolume))
	return volume == nil || s.systemd.systemd().exists(statePath)
}

// onEach runs a test of each kind of registry.
func onEach(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	t.Run(KindContainer, func(t *testing.T) { test(t, newSite(t)) })
	t.Run(KindService, func(t *testing.T) { test(t, newServiceSite(t)) })
}

// TestDeployInGlance: the registry is told where its images are, stores none itself, and goes without a trace.
func TestDeployInGlance(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		s.inTheCloud().options.Keystone.CACert = registrytest.Write(t, pkitest.ServerPair(t, time.Now()).Cert)
		s.options.S3Keys = S3Keys{Access: "id", Secret: "key"}
		status := s.deploy()
		if status.State != Running || status.Data != "Glance" || len(status.Users) != 0 || !s.trusts(status) {
			t.Errorf("status is %+v", status)
		}
		told := string(s.configured()[fileConfig])
		if !strings.Contains(told, "glance: {}") || !strings.Contains(told, "url: http://127.0.0.1:1/v3") || strings.Contains(told, "accesskey") {
			t.Errorf("it is told\n%s", told)
		}
		if s.configured()[fileKeystoneCA] == nil || !strings.Contains(told, fileKeystoneCA) {
			t.Error("Keystone's CA does not go with it")
		}
		if s.deploy(); !s.said("nothing to do") {
			t.Errorf("the same again: it said %v", s.steps)
		}
		_, err := control.Collect(t.Context(), Dial(s.host().Systemd, execless{engine: s.engine}), collecting(time.Minute))
		registrytest.WantError(t, err, "the registry has its images in Glance")
		if hint := registry.HintOf(err); !strings.Contains(hint, "'ndock image gc'") {
			t.Errorf("the hint is %q", hint)
		}
		registrytest.WantError(t, htpasswd.AddLogin(t.Context(), Logins(s.host()), "ops", "secret", s), "the registry asks keystone who may log in")
		for range 2 {
			if err := Remove(t.Context(), s.host(), RemoveOptions{CertsDir: s.options.CertsDir, Report: s, Data: true}); err != nil {
				t.Fatal(err)
			}
		}
		if s.stores() || s.trusts(status) {
			t.Error("there is a place for images, or the CA is trusted still")
		}
	})
}

// execless is an engine in whose containers nothing is run.
type execless struct {
	Execer
	engine *registryEngine
}

// ContainerInspect implements Execer.
func (e execless) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	return e.engine.ContainerInspect(ctx, id)
}

// TestServiceInGlance: systemd makes no directory, and the user goes with the service.
func TestServiceInGlance(t *testing.T) {
	s := newServiceSite(t).inTheCloud()
	s.deploy()
	if unit := s.systemd.read(unitPath); strings.Contains(unit, "StateDirectory") || strings.Contains(unit, "--control") || !strings.Contains(unit, "\nUMask=0077\nConfigurationDirectory=") {
		t.Errorf("the unit is\n%s", unit)
	}
	if err := Remove(t.Context(), s.host(), RemoveOptions{CertsDir: s.options.CertsDir, Report: s}); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(s.systemd.ran, "/usr/sbin/userdel "+serviceName) {
		t.Errorf("it ran %q", s.systemd.ran)
	}
}

// TestStorageOfBeforeStays: what was pushed before stays where it is, and is said to, both ways.
func TestStorageOfBeforeStays(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		before := s.deploy()
		here := "volume " + dataVolume
		if s.options.Service {
			here = onHost.data
		}
		s.steps = nil
		if status := s.inTheCloud().deploy(); status.Data != "Glance" || status.CA != before.CA {
			t.Errorf("status is %+v", status)
		}
		if note := "note: what was pushed so far stays in " + here + ", and the registry has its images in Glance from now on"; !slices.Contains(s.steps, note) || !s.stores() {
			t.Errorf("it said %q", s.steps)
		}
		s.steps, s.options.Glance = nil, config.GlanceOptions{}
		if status := s.deploy(); status.Data != before.Data {
			t.Errorf("status is %+v", status)
		}
		if note := "note: what was pushed so far stays in Glance, and the registry has its images in " + here + " from now on"; !slices.Contains(s.steps, note) {
			t.Errorf("it said %q", s.steps)
		}
		if err := Remove(t.Context(), s.inTheCloud().host(), RemoveOptions{CertsDir: s.options.CertsDir, Report: s}); err != nil {
			t.Fatal(err)
		}
		if !s.stores() || !s.said(" stays, with what was pushed; --data removes it") {
			t.Errorf("it said %q", s.steps)
		}
	})
}

// TestDeployInGlanceByTheFile: what the file says is enough, and flags are written over it.
func TestDeployInGlanceByTheFile(t *testing.T) {
	s := newSite(t)
	s.options.Config = registrytest.Write(t, []byte("version: 0.1\nstorage: {glance: {region: one, interface: internal}}\nauth: {keystone: {url: 'http://127.0.0.1:1/v3'}}\n"))
	s.options.Glance = config.GlanceOptions{Used: true, Region: "two"}
	in := inputs{Options: s.options}
	if err := in.readConfiguration(); err != nil || in.Glance.Region != "two" || in.Glance.Interface != "internal" {
		t.Errorf("%+v, %v", in.Glance, err)
	}
	s.options.Glance = config.GlanceOptions{}
	in = inputs{Options: s.options}
	if err := in.readConfiguration(); err != nil || in.Glance.Region != "one" || slices.Contains(in.command(), "--control") {
		t.Errorf("%+v, %v, %v", in.Glance, in.command(), err)
	}
}

func TestDeployInGlanceRefuses(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"--glance needs --keystone":                func(o *Options) { o.Keystone = keystone.Options{} },
		"--glance and --quota exclude each other":  func(o *Options) { o.Quota = 1 },
		"--glance and --s3-bucket exclude":         func(o *Options) { o.S3.Bucket = "images" },
		"--keystone and --user exclude each other": func(o *Options) { o.User, o.Password = "ci", "secret" },
		"--glance needs --keystone, or auth.keystone": func(o *Options) {
			o.Keystone, o.Config = keystone.Options{}, registrytest.Write(t, []byte("version: 0.1\nstorage: {glance: {}}\n"))
		},
		"proxy.remoteurl exclude each other": func(o *Options) {
			o.Config = registrytest.Write(t, []byte("version: 0.1\nstorage: {glance: {}}\nproxy: {remoteurl: 'http://127.0.0.1:1'}\n"))
		},
	} {
		s := newSite(t).inTheCloud()
		change(&s.options)
		s.fails(want)
		if s.engine.Made+len(s.engine.images()) != 0 {
			t.Errorf("%s: something was made all the same", want)
		}
	}
	s := newServiceSite(t).inTheCloud()
	s.deploy()
	s.options.Service = false
	_, err := Run(t.Context(), s.host(), s.options)
	if hint := registry.HintOf(err); !strings.Contains(hint, "what was pushed stays in Glance") || errors.Is(err, context.Canceled) {
		t.Errorf("%v, with hint %q", err, hint)
	}
}
