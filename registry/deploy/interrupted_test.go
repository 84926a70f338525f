package deploy

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/registry"
	"ndock/registry/internal/atomicfile"
	"ndock/registry/internal/registrytest"
	"ndock/registry/pki"
)

// A faultyEngine fails at some of the calls that change something.
type faultyEngine struct {
	*registryEngine
	fault func(call string) error // asked before and after each
}

func (e *faultyEngine) around(call string, do func() error) error {
	if err := e.fault("before " + call); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return e.fault("after " + call)
}

func (e *faultyEngine) CopyToContainer(ctx context.Context, id, dir string, content io.Reader, o container.CopyToContainerOptions) error {
	text, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if err := e.fault("in copy"); err != nil { // a file is removed before another is written in its place
		header, _ := tar.NewReader(bytes.NewReader(text)).Next()
		return errors.Join(err, os.WriteFile(filepath.Join(e.VolumesDir, configVolume, header.Name), nil, 0o600))
	}
	return e.around("copy", func() error { return e.registryEngine.CopyToContainer(ctx, id, dir, bytes.NewReader(text), o) })
}

func (e *faultyEngine) ContainerStop(ctx context.Context, id string, o container.StopOptions) error {
	return e.around("stop", func() error { return e.registryEngine.ContainerStop(ctx, id, o) })
}

func (e *faultyEngine) ContainerRename(ctx context.Context, id, name string) error {
	return e.around("rename", func() error { return e.registryEngine.ContainerRename(ctx, id, name) })
}

func (e *faultyEngine) ContainerRemove(ctx context.Context, id string, o container.RemoveOptions) error {
	return e.around("remove", func() error { return e.registryEngine.ContainerRemove(ctx, id, o) })
}

func (e *faultyEngine) ContainerStart(ctx context.Context, id string, o container.StartOptions) error {
	return e.around("start", func() error { return e.registryEngine.ContainerStart(ctx, id, o) })
}

func (e *faultyEngine) ContainerCreate(ctx context.Context, config *container.Config, host *container.HostConfig, n *network.NetworkingConfig, p *ocispec.Platform, name string) (made container.CreateResponse, err error) {
	err = e.around("create", func() error {
		made, err = e.registryEngine.ContainerCreate(ctx, config, host, n, p, name)
		return err
	})
	return made, err
}

// nth fails at the nth question alone, and counts them. With a call that fails first, it counts those after that one,
// which are the undo's.
type nth struct {
	first string
	fail  int
	asked int
	at    string
	with  func() error

	started, committed, done bool // the registry; and the deployment, but for what is left over
}

func (n *nth) fault(call string) error {
	switch {
	case n.at != "":
		return nil
	case n.first == call:
		n.first = ""
		return refused()
	case n.first != "":
		return nil
	}
	n.asked++
	n.done = n.done || n.committed
	n.committed = n.committed || n.started && call == "after copy"
	n.started = n.started || call == "after start"
	if n.asked != n.fail {
		return nil
	}
	n.at = call
	return n.with()
}

// deployedBy runs a deployment to its end, or to that of its goroutine, as if ndock had been killed.
func deployedBy(t *testing.T, host Host, o Options) (err error) {
	err = errors.New("ndock was killed")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, err = Run(t.Context(), host, o)
	}()
	<-ended
	return err
}

func killed() error { runtime.Goexit(); return nil }

func refused() error { return errors.New("no space left on device") }

// faulty is the host on which the nth change fails, be it one of Docker's or of systemd's.
func (s *site) faulty(n *nth) Host {
	host := s.host()
	host.Engine = &faultyEngine{s.engine, n.fault}
	run := host.Systemd.Run
	host.Systemd.Run = func(ctx context.Context, command ...string) (string, error) {
		call := strings.Join(command, " ")
		if command[0] == "journalctl" || strings.HasPrefix(call, "systemctl show") {
			return run(ctx, command...)
		}
		if err := n.fault("before " + call); err != nil {
			return "", err
		}
		out, err := run(ctx, command...)
		return out, errors.Join(err, n.fault("after "+call))
	}
	return host
}

// everywhere has each change of a deployment over another one fail, one after the other; or, with a call that fails
// first, each change of its undo. What was there is what the function looks at.
func everywhere(t *testing.T, service bool, first string, with func() error, look func(s *site, before was, n *nth, err error)) {
	for fail := 1; ; fail++ {
		s := newSite(t)
		s.options.Service, s.options.User, s.options.Password = service, "ci", "secret"
		before := was{s.deploy(), s.configured()}
		other := s.options
		other.Listen, other.User, other.Password, other.MaxUploads = freeAddress(t), "", "", 3
		n := &nth{first: first, fail: fail, with: with}
		err := deployedBy(t, s.faulty(n), other)
		if n.at == "" {
			if fail < 8 || (err != nil) != (first != "") {
				t.Errorf("%d changes were seen, and then %v", fail-1, err)
			}
			return
		}
		n.at = fmt.Sprintf("%s, the %d.", n.at, fail)
		look(s, before, n, err)
	}
}

// was is a registry as it was.
type was struct {
	Status
	config files
}

// is tells what is not as it was.
func (s *site) is(before was, at string) {
	s.t.Helper()
	now, err := Find(s.t.Context(), s.host())
	if err != nil || now.State != Running || now.URL != before.URL || now.CA != before.CA || now.Unfinished {
		s.t.Errorf("%s: afterwards it is %+v, %v", at, now, err)
	}
	config := s.configured()
	delete(config, fileRecord)
	if !maps.EqualFunc(config, before.config, bytes.Equal) {
		s.t.Errorf("%s: the configuration is another", at)
	}
	trusted, err := os.ReadDir(s.options.CertsDir)
	if err != nil || len(trusted) != 2 || !s.trusts(before.Status) {
		s.t.Errorf("%s: Docker trusts %v, %v", at, trusted, err)
	}
	if s.options.Service {
		return
	}
	if len(s.engine.Containers) != 1 || s.engine.only().Name != "/"+containerName {
		s.t.Errorf("%s: there are %d containers", at, len(s.engine.Containers))
	}
}

// ndock is killed while it deploys, and the next deployment fails, or does not.
func TestDeployKilledAnywhere(t *testing.T) {
	for kind, service := range map[string]bool{KindContainer: false, KindService: true} {
		t.Run(kind, func(t *testing.T) {
			everywhere(t, service, "", killed, func(s *site, before was, n *nth, _ error) {
				s.options.User, s.options.Password = "", ""
				if !n.committed { // after that nothing is left to do but to clean up
					s.failsAgain(n.at)
					s.is(before, n.at)
				}
				s.deploy()
				s.is(before, n.at)
			})
		})
	}
}

// failsAgain is a deployment that fails late, when it has found out what is there.
func (s *site) failsAgain(at string) {
	s.t.Helper()
	host, other := s.host(), s.options
	other.MaxUploads = 5
	s.systemd.refuses = "systemctl enable"
	host.Engine = &faultyEngine{s.engine, func(call string) error {
		if call == "before create" {
			return refused()
		}
		return nil
	}}
	if _, err := Run(s.t.Context(), host, other); err == nil {
		s.t.Errorf("%s: it did not fail", at)
	}
}

func TestDeployFailsAnywhereAndPutsBack(t *testing.T) {
	for kind, service := range map[string]bool{KindContainer: false, KindService: true} {
		t.Run(kind, func(t *testing.T) {
			everywhere(t, service, "", refused, func(s *site, before was, n *nth, err error) {
				if err == nil || n.done {
					if now, err := Find(t.Context(), s.host()); err != nil || now.State != Running || now.URL == before.URL || !s.trusts(now) || s.trusts(before.Status) {
						t.Errorf("%s: afterwards it is %+v, %v", n.at, now, err)
					}
					return
				}
				s.is(before, n.at)
			})
		})
	}
}

// The undo of a deployment fails somewhere, or ndock is killed there: the next deployment has the registry back that
// worked, whether it then fails itself or does not.
func TestUndoBreaksAnywhere(t *testing.T) {
	for name, one := range map[string]struct {
		first   string
		service bool
		with    func() error
	}{
		"early-killed":         {"before create", false, killed},
		"early-fails":          {"before create", false, refused},
		"late-killed":          {"after start", false, killed},
		"late-fails":           {"after start", false, refused},
		"service-early-killed": {"before systemctl daemon-reload", true, killed},
		"service-early-fails":  {"before systemctl daemon-reload", true, refused},
		"service-late-killed":  {"after systemctl start " + unitName, true, killed},
		"service-late-fails":   {"after systemctl start " + unitName, true, refused},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, one.service, one.first, one.with, func(s *site, before was, n *nth, err error) {
				if err == nil {
					t.Errorf("%s: it did not fail", n.at)
				}
				s.comesBack(before, n.at)
			})
		})
	}
}

// comesBack has the next deployment fail, and the one after that succeed.
func (s *site) comesBack(before was, at string) {
	s.t.Helper()
	s.options.User, s.options.Password = "", ""
	s.failsAgain(at)
	s.is(before, at)
	s.deploy()
	s.is(before, at)
}

// Ndock is killed in an undo, and what the next deployment does about that fails somewhere, or is killed.
func TestRecoverBreaksAnywhere(t *testing.T) {
	for name, one := range map[string]struct {
		first   string
		service bool
		with    func() error
	}{
		"killed":         {"after start", false, killed},
		"fails":          {"after start", false, refused},
		"service-killed": {"after systemctl start " + unitName, true, killed},
		"service-fails":  {"after systemctl start " + unitName, true, refused},
	} {
		t.Run(name, func(t *testing.T) {
			for fail := 1; ; fail++ {
				s := newSite(t)
				s.options.Service = one.service
				before := was{s.deploy(), s.configured()}
				other := s.options
				other.Listen, other.MaxUploads = freeAddress(t), 3
				deployedBy(t, s.faulty(&nth{first: one.first, fail: 1, with: killed}), other)
				n := &nth{fail: fail, with: one.with}
				err := deployedBy(t, s.faulty(n), s.options)
				if n.at == "" {
					if fail < 8 || err != nil {
						t.Errorf("%d changes were seen, and then %v", fail-1, err)
					}
					return
				}
				s.comesBack(before, fmt.Sprintf("%s, the %d.", n.at, fail))
			}
		})
	}
}

// What is left of a deployment is the registry of before, renamed, without a record of its files: this host trusts it
// still when it is put back.
func TestRecoverWithoutRecord(t *testing.T) {
	s := newSite(t)
	before := was{s.deploy(), s.config()}
	old := s.engine.only().ID
	s.engine.ContainerStop(t.Context(), old, container.StopOptions{})
	s.engine.ContainerRename(t.Context(), old, backupName)
	s.failsAgain("without a record")
	if !slices.Contains(s.steps, "the last deployment was broken off") {
		t.Errorf("it said %v", s.steps)
	}
	s.is(before, "without a record")
}

// An undo that fails too says what is left to do by hand, and does not keep the others from being done.
func TestDeployUndoGoesOn(t *testing.T) {
	s := newSite(t)
	s.deploy()
	host := s.host()
	failed := false
	host.Engine = &faultyEngine{s.engine, func(call string) error {
		failed = failed || call == "before start"
		if failed && (call == "before start" && s.engine.Made == 2 && len(s.engine.Containers) == 2 || call == "before copy") {
			return refused()
		}
		return nil
	}}
	s.options.MaxUploads = 3
	_, err := Run(t.Context(), host, s.options)
	registrytest.WantError(t, err, "start container ndock-registry: no space left on device; and undoing configuration: write volume ndock-registry-config: no space left on device")
	if hint := registry.HintOf(err); !strings.Contains(hint, "do by hand what is said to be left") {
		t.Errorf("hint %q", hint)
	}
	if said := strings.Join(s.steps, "\n"); !strings.Contains(said, "undo: configuration: failed, and is left to do by hand: see to why volume ndock-registry-config takes no files; ") {
		t.Errorf("it said %s", said)
	}
	if now, err := Find(t.Context(), s.host()); err != nil || now.State != Running || len(s.engine.Containers) != 1 || !now.Unfinished {
		t.Errorf("afterwards it is %+v, %v", now, err)
	}
	s.options.MaxUploads = 0
	if s.deploy(); !slices.Contains(s.steps, "the last deployment was broken off") || !s.said("nothing to do") {
		t.Errorf("it said %v", s.steps)
	}
}

func TestRemoveGoesOn(t *testing.T) {
	s := newSite(t)
	s.deploy()
	host := s.host()
	host.Engine = &faultyEngine{s.engine, func(call string) error {
		if call == "before remove" {
			return errors.New("device or resource busy")
		}
		return nil
	}}
	o := RemoveOptions{CertsDir: s.options.CertsDir, Report: s}
	made := s.engine.only()
	registrytest.WantError(t, Remove(t.Context(), host, o), "remove the registry: container: remove container "+made.ID+": device or resource busy")
	tried := slices.Contains(s.engine.Called(), "ImageRemove "+made.Image) // the container that stays uses it
	if !slices.Contains(s.steps, "remove: container: failed, and is left to do by hand: docker rm -f ndock-registry") || !tried {
		t.Errorf("tried to remove the image: %t; it said %v", tried, s.steps)
	}
	if err := Remove(t.Context(), s.host(), o); err != nil || len(s.engine.images()) != 0 {
		t.Fatalf("%v; %d images are left", err, len(s.engine.images()))
	}
	s = newServiceSite(t)
	s.deploy()
	s.systemd.refuses = "systemctl stop"
	o = RemoveOptions{CertsDir: s.options.CertsDir, Report: s, Data: true}
	if err := os.MkdirAll(filepath.Join(s.systemd.root, statePath), 0o755); err != nil {
		t.Fatal(err)
	}
	registrytest.WantError(t, Remove(t.Context(), s.host(), o), "remove the registry: service: stop service ndock-registry: it will not; unit: it stays until the service has ended")
	if systemd := s.systemd.systemd(); !systemd.exists(statePath) || !systemd.exists(configPath) || !systemd.exists(unitPath) {
		t.Error("what a running service needs is gone")
	}
	if err := Remove(t.Context(), s.host(), o); err != nil || s.systemd.systemd().exists(statePath) {
		t.Errorf("the second time: %v", err)
	}
}

// Half of what Docker shall trust cannot be written: then nothing is.
func TestTrustIsAllOrNothing(t *testing.T) {
	s := newSite(t)
	first := s.deploy()
	before := was{first, s.config()}
	other := s.options
	other.Listen = freeAddress(t)
	_, port, err := net.SplitHostPort(other.Listen)
	if err != nil {
		t.Fatal(err)
	}
	blocked := filepath.Join(s.options.CertsDir, "localhost:"+port) // which is the second of them
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Run(t.Context(), s.host(), other)
	if err == nil {
		t.Fatal("it did not fail")
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	s.is(before, "trust")
}

// Who presses Ctrl-C while the old container ends has it back.
func TestDeployIsInterrupted(t *testing.T) {
	s := newSite(t)
	before := was{s.deploy(), s.config()}
	for _, at := range []string{"before stop", "before create", "after start"} {
		ctx, cancel := context.WithCancel(t.Context())
		host := s.host()
		host.Engine = &faultyEngine{s.engine, func(call string) error {
			if call == at {
				cancel()
			}
			return nil
		}}
		other := s.options
		other.MaxUploads = 3
		if _, err := Run(ctx, host, other); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", at, err)
		}
		s.is(before, at)
	}
}

// Another CA takes the place of the one that ends, wherever that was trusted.
func TestDeployReplacesTheCA(t *testing.T) {
	s := newSite(t)
	first := s.deploy()
	ending, err := pki.NewAuthority(time.Now().Add(-pki.AuthorityLifetime + 24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := writeConfig(t.Context(), s.engine, containerName, files{fileCA: ending.Cert, fileCAKey: ending.Key}); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Publish(filepath.Join(s.options.CertsDir, "elsewhere:5050", "ca.crt"), ending.Cert); err != nil {
		t.Fatal(err)
	}
	second := s.deploy()
	if second.CA == first.CA || second.CA == pki.FirstFingerprint(ending.Cert) || len(second.Warnings(time.Now())) > 0 || second.Renewed.Before(time.Now().Add(9*365*24*time.Hour)) {
		t.Errorf("status is %+v", second)
	}
	s.is(was{second, s.config()}, "with another CA")
	if got, err := os.ReadFile(filepath.Join(s.options.CertsDir, strings.TrimPrefix(second.URL, "https://"), "ca.crt")); err != nil || !bytes.Equal(got, s.config()[fileCA]) {
		t.Errorf("Docker trusts %q (%v)", got, err)
	}
}

// The config volume stands on the engine, and the registry may write to it.
func FuzzUnpackBefore(f *testing.F) {
	kept, err := files{fileCA: []byte("ca"), unitName: []byte("[Unit]")}.recorded()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(kept[fileRecord])
	f.Add(kept[fileRecord][:20])
	f.Add([]byte("what"))
	f.Fuzz(func(t *testing.T, text []byte) {
		found, ok := files{fileRecord: text}.recordedFiles()
		if !ok && found != nil && len(found) > maxFiles+1 {
			t.Errorf("%d files", len(found))
		}
		total := 0
		for _, one := range found {
			total += len(one)
		}
		if total > maxRecordSize || len(found) > maxFiles+1 {
			t.Errorf("%d bytes in %d files", total, len(found))
		}
	})
}

func TestBeforeIsWholeOrNotThere(t *testing.T) {
	kept, err := files{fileCA: []byte("ca"), fileHtpasswd: []byte("ci:x")}.recorded()
	if err != nil {
		t.Fatal(err)
	}
	if found, ok := kept.recordedFiles(); !ok || len(found) != 2 {
		t.Errorf("found %v, %t", found, ok)
	}
	for n := range kept[fileRecord] {
		if _, ok := (files{fileRecord: kept[fileRecord][:n]}).recordedFiles(); ok {
			t.Errorf("%d of %d bytes count as all", n, len(kept[fileRecord]))
		}
	}
}
