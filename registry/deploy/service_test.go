package deploy

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"ndock/registry"
	"ndock/registry/auth/htpasswd"
	"ndock/registry/config"
	"ndock/registry/control"
	"ndock/registry/gc"
	"ndock/registry/internal/registrytest"
)

func TestDeployServiceAgainChangesNothing(t *testing.T) {
	s := newServiceSite(t)
	s.options.User, s.options.Password = "ci", "secret"
	first := s.deploy()
	if first.State != Running || first.Kind != KindService || first.TLS != tlsSelfSigned || first.Data != "/var/lib/ndock-registry" ||
		!slices.Equal(first.Users, []string{"ci"}) || first.CA == "" || first.Since.IsZero() || !s.trusts(first) {
		t.Errorf("status is %+v", first)
	}
	s.ranInOrder("systemd-sysusers", "systemctl daemon-reload", "systemctl enable", "systemctl reset-failed", "systemctl start")
	s.deploy()
	if s.ranInOrder(); !s.said("nothing to do") {
		t.Errorf("it said %v", s.steps)
	}
	if unit := s.systemd.read(unitPath); strings.Contains(unit, "secret") || strings.Contains(unit, "$2a$") {
		t.Errorf("the unit, which all can read, is\n%s", unit)
	}
	if s.engine.Made != 0 {
		t.Error("a container was made")
	}
}

// Only root and the service can read what is secret, and the CA's key root alone.
func TestServiceFilesAreNobodyElses(t *testing.T) {
	s := newServiceSite(t)
	s.options.User, s.options.Password = "ci", "secret"
	s.deploy()
	for name, want := range map[string]fs.FileMode{
		configPath: 0o750, configPath + "/config.yml": 0o640, configPath + "/server.key": 0o640, configPath + "/htpasswd": 0o640,
		configPath + "/ca.key": 0o600, unitPath: 0o644,
	} {
		info, err := os.Stat(filepath.Join(s.systemd.root, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if config := s.systemd.read(configPath + "/config.yml"); !strings.Contains(config, "rootdirectory: /var/lib/ndock-registry") {
		t.Errorf("the configuration is\n%s", config)
	}
}

func TestReplacingServiceKeepsLoginAndCA(t *testing.T) {
	s := newServiceSite(t)
	s.options.User, s.options.Password = "ci", "secret"
	s.deploy()
	before := s.serviceConfig()
	s.systemd.ran = nil
	s.options.User, s.options.Password, s.options.MaxUploads = "", "", 3
	if after := s.deploy(); !slices.Equal(after.Users, []string{"ci"}) {
		t.Errorf("users are %v", after.Users)
	}
	s.ranInOrder("systemd-sysusers", "systemctl stop", "systemctl daemon-reload", "systemctl enable", "systemctl reset-failed", "systemctl start")
	if after := s.serviceConfig(); !maps.EqualFunc(before, after, bytes.Equal) || !strings.Contains(s.systemd.read(unitPath), "--max-uploads 3") {
		t.Errorf("the configuration changed: %v", after.names())
	}
	s.options.Binary = fakeProgram(t, "newer")
	s.deploy()
	s.ranInOrder("systemd-sysusers", "systemctl stop", "systemctl daemon-reload", "systemctl enable", "systemctl reset-failed", "systemctl start")
	s.systemd.enabled = false
	s.deploy()
	if !s.systemd.enabled {
		t.Error("it does not come up with the machine")
	}
}

func TestDeployServiceFailsAndLeavesNothing(t *testing.T) {
	for refused, want := range map[string]string{
		"systemctl daemon-reload": "have systemd read its units: it will not",
		"systemctl enable":        "enable service ndock-registry: it will not",
		"systemctl start":         "start service ndock-registry: it will not: the last word",
		"breaks":                  "start the registry: it ended with status 1: it hurts",
	} {
		s := newServiceSite(t)
		s.systemd.refuses, s.systemd.log = refused, "ndock: the last word\n"
		if refused == "breaks" {
			s.systemd.breaks = "starting\nndock: it hurts\nhint: stop\n"
		}
		s.fails(want)
		for _, name := range []string{unitPath, configPath} {
			if s.systemd.systemd().exists(name) {
				t.Errorf("%s: %s is left behind", refused, name)
			}
		}
		if s.systemd.enabled || s.systemd.state != "inactive" {
			t.Errorf("%s: the service is %s, enabled: %t", refused, s.systemd.state, s.systemd.enabled)
		}
	}
}

func TestDeployServiceFailsAndPutsBack(t *testing.T) {
	s := newServiceSite(t)
	first := s.deploy()
	before, unit, place := s.serviceConfig(), s.systemd.read(unitPath), s.options.Listen
	s.options.Listen, s.options.User, s.options.Password = freeAddress(t), "ci", "secret"
	for _, refused := range []string{"", "systemctl stop", "systemctl daemon-reload", "systemctl start"} {
		s.systemd.refuses, s.systemd.breaks = refused, ""
		want := "it will not"
		if refused == "" {
			s.systemd.breaks, want = "ndock: it hurts\n", "it hurts"
		}
		s.fails(want)
		status, err := Find(t.Context(), s.host())
		if err != nil || status.State != Running || status.URL != first.URL || !s.trusts(first) {
			t.Errorf("%q: afterwards it is %+v, %v", refused, status, err)
		}
		if after := s.serviceConfig(); !maps.EqualFunc(before, after, bytes.Equal) || s.systemd.read(unitPath) != unit || !s.systemd.enabled {
			t.Errorf("%q: what was put back is not what was there: %v", refused, after.names())
		}
	}
	s.options.Listen, s.options.User, s.options.Password = place, "", ""
	if s.deploy(); !s.said("nothing to do") {
		t.Errorf("it said %v", s.steps)
	}
}

// Who presses Ctrl-C while it waits has what was there.
func TestDeployServiceIsInterrupted(t *testing.T) {
	s := newServiceSite(t)
	first := s.deploy()
	s.options.MaxUploads = 3
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	host, run := s.host(), s.systemd.run
	host.Systemd.Run = func(ctx context.Context, command ...string) (string, error) {
		if slices.Contains(command, "enable") {
			cancel()
		}
		return run(ctx, command...)
	}
	_, err := Run(ctx, host, s.options)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if status, err := Find(t.Context(), s.host()); err != nil || status.State != Running || status.URL != first.URL {
		t.Errorf("afterwards it is %+v, %v", status, err)
	}
}

func TestDeployServiceRefuses(t *testing.T) {
	s := newServiceSite(t)
	busy, err := net.Listen("tcp", s.options.Listen)
	if err != nil {
		t.Fatal(err)
	}
	s.fails("another program listens there")
	busy.Close()
	s.options.Config = registrytest.Write(t, []byte("version: 0.1\nstorage: {filesystem: {rootdirectory: /srv}}\n"))
	s.fails("storage.filesystem.rootdirectory is not supported in a service")
	s.options.Config = ""
	if err := os.Remove(filepath.Join(s.systemd.root, systemdRuntimeDir)); err != nil {
		t.Fatal(err)
	}
	s.fails("deploy the registry as a service: systemd does not run on this host")
	if len(s.systemd.ran) != 0 {
		t.Errorf("all the same it ran %v", s.systemd.ran)
	}
	if err := s.systemd.systemd().writeUnit([]byte("[Service]\n")); err != nil {
		t.Fatal(err)
	}
	_, err = Find(t.Context(), s.host())
	registrytest.WantError(t, err, "it is not a registry of ndock")
	_, err = openExecutable(fakeProgram(t, ""), Systemd{}.checkProgram)
	registrytest.WantError(t, err, "services do not see /tmp")
}

// There is one registry on a host, of one kind or the other.
func TestDeployRefusesTheOtherKind(t *testing.T) {
	s := newSite(t)
	s.deploy()
	s.options.Service = true
	s.fails("deploy the registry as a service: it is a container of Docker's")
	if err := Remove(t.Context(), s.host(), RemoveOptions{CertsDir: s.options.CertsDir, Report: s}); err != nil {
		t.Fatal(err)
	}
	s.deploy()
	s.options.Service = false
	_, err := Run(t.Context(), s.host(), s.options)
	registrytest.WantError(t, err, "deploy the registry as a container: it is a service of this host")
	if hint := registry.HintOf(err); !strings.Contains(hint, "ndock registry remove") || !strings.Contains(hint, "/var/lib/ndock-registry") {
		t.Errorf("hint %q", hint)
	}
}

func TestRemoveService(t *testing.T) {
	s := newServiceSite(t)
	first := s.deploy()
	s.systemd.ran = nil
	host := s.host()
	host.Engine = noDocker(t)
	remove := func(data bool) {
		t.Helper()
		if err := Remove(t.Context(), host, RemoveOptions{CertsDir: s.options.CertsDir, Report: s, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	remove(false)
	s.ranInOrder("systemctl stop", "systemctl disable", "systemctl reset-failed", "systemctl daemon-reload")
	remove(false)
	if !s.said("/var/lib/ndock-registry stays, with what was pushed; --data removes it") {
		t.Errorf("it said %v", s.steps)
	}
	systemd := s.systemd.systemd()
	if s.trusts(first) || systemd.exists(unitPath) || systemd.exists(configPath) || !systemd.exists(statePath) {
		t.Error("something is left, or the data is gone")
	}
	if status, err := Find(t.Context(), host); err != nil || status.State != Absent || status.Data != "/var/lib/ndock-registry" {
		t.Errorf("status is %+v, %v", status, err)
	}
	remove(true)
	s.ranInOrder("/usr/sbin/userdel ndock-registry")
	if systemd.exists(statePath) {
		t.Error("the data is left")
	}
}

// A host that runs the registry as a service needs no Docker.
func TestServiceWithoutDocker(t *testing.T) {
	s := newServiceSite(t)
	host := s.host()
	host.Engine = noDocker(t)
	s.options.User, s.options.Password = "ci", "secret"
	status, err := Run(t.Context(), host, s.options)
	if err != nil {
		t.Fatal(err)
	}
	if err := htpasswd.AddLogin(t.Context(), Logins(host), "ops", "other", s); err != nil {
		t.Fatal(err)
	}
	if got := s.login(status.URL, "ops", "other"); got != http.StatusOK {
		t.Errorf("ops gets %d", got)
	}
	if err := htpasswd.RemoveLogin(t.Context(), Logins(host), "ci", s); err != nil {
		t.Fatal(err)
	}
	if got := s.login(status.URL, "ci", "secret"); got != http.StatusUnauthorized {
		t.Errorf("ci gets %d", got)
	}
	options := collecting(time.Minute)
	options.Options = gc.Options{Report: s, DryRun: true}
	if _, err := control.Collect(t.Context(), Dial(host.Systemd, nil), options); err != nil {
		t.Error(err)
	}
	s.systemd.stop()
	_, err = control.Collect(t.Context(), Dial(host.Systemd, nil), options)
	registrytest.WantError(t, err, "look for the registry: its service does not run")
	if status, err := Find(t.Context(), host); err != nil || status.State != "inactive" {
		t.Errorf("status is %+v, %v", status, err)
	}
}

func TestServiceOnPrivilegedPorts(t *testing.T) {
	for listen, want := range map[string]string{"0.0.0.0:443": "CAP_NET_BIND_SERVICE", "0.0.0.0:5050": ""} {
		in, err := readInputs(Host{Systemd: Systemd{Root: "/nowhere"}}, Options{Options: config.Options{Listen: listen}, Service: true, Binary: fakeProgram(t, ""), Report: registrytest.Silent{}})
		if err != nil {
			t.Fatal(err)
		}
		defer in.program.file.Close()
		wanted, err := newPlan(in, serviceTarget{}, files{}, "", time.Now())
		text := []byte(wanted.made)
		if err != nil || properties(string(text))["AmbientCapabilities"] != want {
			t.Errorf("%v\n%s", err, text)
		}
		if unit, ok := parseUnit(text); !ok || unit.Listen != listen || unit.TLS != tlsSelfSigned || unit.URL == "" {
			t.Errorf("read again it is %+v", unit)
		}
	}
}

// What systemd itself says of the unit, where it is installed.
func TestUnitForSystemd(t *testing.T) {
	if _, err := runHere(t.Context(), "systemd-analyze", "--version"); err != nil {
		t.Skip(err)
	}
	unit := unitFile{Command: quoted("/bin/true") + " registry serve", StopTimeout: 30, Capabilities: "CAP_NET_BIND_SERVICE"}
	text, err := unit.text()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), unitName)
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", file).CombinedOutput()
	if err != nil || bytes.Contains(said, []byte(unitName)) { // of this machine's own units it complains, too
		t.Errorf("%v\n%s", err, said)
	}
	if _, err := runHere(t.Context(), "systemd-analyze", "security", "--offline=true", "--threshold=20", file); err != nil {
		t.Error(err)
	}
}

func TestQuotedPath(t *testing.T) {
	if got := quoted(`/opt/100% "mine"\ndock`); got != `"/opt/100%% \"mine\"\\ndock"` {
		t.Error(got)
	}
}

func newServiceSite(t *testing.T) *site {
	s := newSite(t)
	s.options.Service = true
	return s
}

// ranInOrder compares what systemd was told since it was asked last.
func (s *site) ranInOrder(want ...string) {
	s.t.Helper()
	if !slices.Equal(s.systemd.ran, want) {
		s.t.Errorf("it ran %q, not %q", s.systemd.ran, want)
	}
	s.systemd.ran = nil
}

func (s *site) serviceConfig() files {
	s.t.Helper()
	found, err := s.systemd.systemd().readFiles()
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// noDocker is an engine that does not run.
func noDocker(t *testing.T) Engine {
	t.Helper()
	engine, err := client.NewClientWithOpts(client.WithHost("unix://" + filepath.Join(t.TempDir(), "docker.sock")))
	if err != nil {
		t.Fatal(err)
	}
	return engine
}
