package deploy

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"ndock/registry"
	"ndock/registry/config"
	"ndock/registry/internal/pkitest"
	"ndock/registry/internal/registrytest"
)

func TestDeployAgainChangesNothing(t *testing.T) {
	s := newSite(t)
	s.options.User, s.options.Password = "ci", "secret"
	first := s.deploy()
	if first.State != Running || first.TLS != tlsSelfSigned || !slices.Equal(first.Users, []string{"ci"}) || first.Data != dataVolume {
		t.Errorf("status is %+v", first)
	}
	if !s.trusts(first) {
		t.Error("this host does not trust the registry")
	}
	s.deploy()
	if s.engine.Made != 1 || !s.said("nothing to do") {
		t.Errorf("%d containers were made; it said %v", s.engine.Made, s.steps)
	}
	config := s.engine.only()
	if text := fmt.Sprint(config.Config, config.HostConfig); strings.Contains(text, "secret") || strings.Contains(text, "$2a$") {
		t.Errorf("the engine shows a secret: %s", text)
	}
}

// What other hosts rely on survives an upgrade, and even the removal of the container behind our back.
func TestReplacingKeepsLoginAndCA(t *testing.T) {
	s := newSite(t)
	s.options.User, s.options.Password = "ci", "secret"
	s.deploy()
	before := s.config()
	s.options.User, s.options.Password, s.options.Binary = "", "", fakeProgram(t, "newer")
	if after := s.deploy(); !slices.Equal(after.Users, []string{"ci"}) {
		t.Errorf("users are %v", after.Users)
	}
	if after := s.config(); s.engine.Made != 2 || len(s.engine.images()) != 1 || !maps.EqualFunc(before, after, bytes.Equal) {
		t.Errorf("%d containers made, %d images left, config changed: %v", s.engine.Made, len(s.engine.images()), after.names())
	}
	id := s.engine.only().ID
	s.engine.ContainerStop(t.Context(), id, container.StopOptions{})
	s.engine.ContainerRemove(t.Context(), id, container.RemoveOptions{})
	s.deploy()
	if after := s.config(); !maps.EqualFunc(before, after, bytes.Equal) || len(s.engine.Containers) != 1 {
		t.Errorf("config changed: %v, or %d containers left", after.names(), len(s.engine.Containers))
	}
	s.options.User, s.options.Password = "ops", "other"
	if after := s.deploy(); !slices.Equal(after.Users, []string{"ci", "ops"}) {
		t.Errorf("users are %v", after.Users)
	}
}

func TestDeployFailsOfARegistryThatIsStartedAgain(t *testing.T) {
	s := newSite(t)
	s.engine.breaks, s.engine.restarts = "ndock: it hurts\n", true
	s.fails("start the registry: it ended: it hurts")
}

func TestDeployFailsAndPutsBack(t *testing.T) {
	s := newSite(t)
	s.engine.breaks = "starting\nndock: it hurts\nhint: stop\n"
	s.fails("start the registry: it ended with status 1: it hurts")
	if len(s.engine.Containers) != 0 {
		t.Error("a container that does not work is left behind")
	}
	first := s.deploy()
	before, place := s.config(), s.options.Listen
	s.options.Listen, s.options.User, s.options.Password = freeAddress(t), "ci", "secret"
	s.engine.breaks = "ndock: it hurts\n"
	s.fails("it hurts")
	status, err := Find(t.Context(), s.host())
	if err != nil || status.State != Running || status.URL != first.URL || !s.trusts(first) {
		t.Errorf("afterwards it is %+v, %v", status, err)
	}
	if after := s.config(); !bytes.Equal(before[fileCert], after[fileCert]) || len(s.engine.Containers) != 1 {
		t.Errorf("the certificate is another, or %d containers are left", len(s.engine.Containers))
	}
	s.options.Listen, s.options.User, s.options.Password = place, "", ""
	s.deploy()
	if !s.said("nothing to do") {
		t.Errorf("what was put back is not what was there: it said %v", s.steps)
	}
}

func TestDeployOnAPortInUse(t *testing.T) {
	s := newSite(t)
	busy, err := net.Listen("tcp", s.options.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	s.fails("another program listens there")
	if len(s.engine.images())+s.engine.Made != 0 {
		t.Error("something was made all the same")
	}
}

func TestDeployWithGivenCertificateThenInsecure(t *testing.T) {
	s := newSite(t)
	self := s.deploy()
	given := pkitest.ServerPair(t, time.Now())
	s.options.CertFile, s.options.KeyFile = registrytest.Write(t, given.Cert), registrytest.Write(t, given.Key)
	if status := s.deploy(); status.TLS != tlsGiven || status.Expires.IsZero() {
		t.Errorf("status is %+v", status)
	}
	if s.trusts(self) {
		t.Error("a CA that is not used is still trusted")
	}
	s.options.CertFile, s.options.KeyFile, s.options.Insecure = "", "", true
	if status := s.deploy(); status.TLS != tlsNone || !strings.HasPrefix(status.URL, "http://") || !status.Expires.IsZero() {
		t.Errorf("status is %+v", status)
	}
}

func TestRemove(t *testing.T) {
	s := newSite(t)
	first := s.deploy()
	for range 2 {
		if err := Remove(t.Context(), s.host(), RemoveOptions{CertsDir: s.options.CertsDir, Report: s}); err != nil {
			t.Fatal(err)
		}
	}
	if s.trusts(first) || len(s.engine.Containers)+len(s.engine.images()) != 0 {
		t.Error("something is left")
	}
	if status, err := Find(t.Context(), s.host()); err != nil || status.State != Absent || status.Data != dataVolume {
		t.Errorf("status is %+v, %v", status, err)
	}
	if err := Remove(t.Context(), s.host(), RemoveOptions{CertsDir: s.options.CertsDir, Report: s, Data: true}); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(s.engine.VolumesDir); len(left) != 0 {
		t.Errorf("volumes are left: %v", left)
	}
}

func TestBinaryMustRunAlone(t *testing.T) {
	_, err := openExecutable(registrytest.Write(t, []byte("#!/bin/sh\n")), checkStatic)
	registrytest.WantError(t, err, "it is not a Linux program")
	_, err = openExecutable(registrytest.Write(t, program(elf.PT_INTERP)), checkStatic)
	registrytest.WantError(t, err, "it is not static")
	_, err = openExecutable("missing", checkStatic)
	registrytest.WantError(t, err, "no such file")
}

// site is a host with an engine and systemd, and what was said there.
type site struct {
	t       *testing.T
	engine  *registryEngine
	systemd *fakeSystemd
	options Options
	steps   []string
}

func newSite(t *testing.T) *site {
	s := &site{t: t, engine: newRegistryEngine(t), systemd: newFakeSystemd(t)}
	s.options = Options{
		Options: config.Options{Listen: freeAddress(t)}, Version: "1", Binary: fakeProgram(t, "ndock"),
		CertsDir: filepath.Join(t.TempDir(), "certs.d"), Timeout: 5 * time.Second, Report: s,
	}
	t.Cleanup(func() {
		for _, c := range s.engine.Containers {
			s.engine.ContainerStop(t.Context(), c.ID, container.StopOptions{})
		}
	})
	return s
}

func (s *site) host() Host { return Host{Engine: s.engine, Systemd: s.systemd.systemd()} }

func (s *site) Step(format string, args ...any) {
	s.steps = append(s.steps, fmt.Sprintf(format, args...))
}

func (s *site) said(words string) bool {
	return strings.Contains(s.steps[len(s.steps)-1], words)
}

func (s *site) deploy() Status {
	s.t.Helper()
	status, err := Run(s.t.Context(), s.host(), s.options)
	if err != nil {
		s.t.Fatal(err)
	}
	return status
}

func (s *site) fails(words string) {
	s.t.Helper()
	_, err := Run(s.t.Context(), s.host(), s.options)
	registrytest.WantError(s.t, err, words)
}

func (s *site) config() files {
	s.t.Helper()
	found, err := readConfig(s.t.Context(), s.engine, containerName)
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// configured is what the registry is told, of whatever kind it is.
func (s *site) configured() files {
	s.t.Helper()
	if s.options.Service {
		return s.serviceConfig()
	}
	return s.config()
}

func (s *site) trusts(status Status) bool {
	_, err := os.Stat(filepath.Join(s.options.CertsDir, strings.TrimPrefix(status.URL, "https://"), "ca.crt"))
	return err == nil
}

// lastPort is the port that freeAddress gave last: each process begins elsewhere.
var lastPort = 20000 + os.Getpid()%12000

// freeAddress is an address that stays free while no registry of the test listens there: its port is below those that
// the kernel gives to connections and to other tests.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		lastPort = 20000 + (lastPort+1)%12000
		listener, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", lastPort))
		if err == nil {
			defer listener.Close()
			return listener.Addr().String()
		}
	}
	t.Fatal("no port between 20000 and 32000 is free")
	return ""
}

func fakeProgram(t *testing.T, rest string) string {
	t.Helper()
	return registrytest.Write(t, append(program(elf.PT_LOAD), rest...))
}

// program is the head of a program that has one part of the kind.
func program(part elf.ProgType) []byte {
	var out bytes.Buffer
	head := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1}
	copy(head.Ident[:], elf.ELFMAG)
	head.Ident[elf.EI_CLASS], head.Ident[elf.EI_DATA], head.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	binary.Write(&out, binary.LittleEndian, head)
	binary.Write(&out, binary.LittleEndian, elf.Prog64{Type: uint32(part)})
	return out.Bytes()
}

// Where somebody has removed the container and the image, another image serves to read the CA that Docker is to trust no
// more.
func TestRemoveWhatIsLeft(t *testing.T) {
	s := newSite(t)
	status := s.deploy()
	id := s.engine.only().ID
	s.engine.ContainerStop(t.Context(), id, container.StopOptions{})
	s.engine.ContainerRemove(t.Context(), id, container.RemoveOptions{})
	s.engine.Images = map[string]image.InspectResponse{"sha256:other": {ID: "sha256:other", RepoTags: []string{"other:1"}}}
	if err := Remove(t.Context(), s.host(), RemoveOptions{CertsDir: s.options.CertsDir, Report: s}); err != nil {
		t.Fatal(err)
	}
	if s.trusts(status) || len(s.engine.Containers) != 0 || len(s.engine.images()) != 1 {
		t.Error("the CA is still trusted, a container is left, or another's image is gone")
	}
}

func TestDeployWithoutEngine(t *testing.T) {
	s := newSite(t)
	engine, err := client.NewClientWithOpts(client.WithHost("unix://" + filepath.Join(t.TempDir(), "no.sock")))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Run(t.Context(), Host{Engine: engine, Systemd: s.host().Systemd}, s.options)
	registrytest.WantError(t, err, "look for the registry: Cannot connect to the Docker daemon at ")
	if hint := registry.HintOf(err); !strings.HasPrefix(hint, "start Docker, or let DOCKER_HOST name an engine") {
		t.Errorf("the hint is %q", hint)
	}
}
