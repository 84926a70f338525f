package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ndock/registry/config"
	"ndock/registry/internal/registrytest"
	"ndock/registry/serve"
)

// fakeSystemd runs the registry that the unit below its root says, in this process.
type fakeSystemd struct {
	t       *testing.T
	root    string
	ran     []string // what it was told to do, without what only asks
	enabled bool
	state   string // active, inactive or failed
	since   time.Time
	cancel  context.CancelFunc
	ended   chan error

	breaks  string // what the program says instead of serving
	refuses string // the command that fails
	log     string
}

func newFakeSystemd(t *testing.T) *fakeSystemd {
	s := &fakeSystemd{t: t, root: t.TempDir(), state: "inactive"}
	for _, dir := range []string{"run/systemd/system", "etc/systemd/system", "var/lib", "run/ndock-registry"} {
		if err := os.MkdirAll(filepath.Join(s.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.root, "etc/group"), []byte("root:x:0:\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *fakeSystemd) systemd() Systemd { return Systemd{Root: s.root, Run: s.run} }

func (s *fakeSystemd) run(ctx context.Context, command ...string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	line := strings.Join(command, " ")
	switch command[0] {
	case "journalctl":
		return s.log, nil
	case "systemd-sysusers":
		s.ran = append(s.ran, command[0])
		return "", os.WriteFile(filepath.Join(s.root, "etc/group"), fmt.Appendf(nil, "root:x:0:\n%s:x:%d:\n", serviceName, os.Getgid()), 0o644)
	case "systemctl":
		if command[1] == "show" {
			return s.show(), nil
		}
	}
	s.ran = append(s.ran, strings.TrimSuffix(line, " "+unitName))
	if s.refuses != "" && strings.HasPrefix(line, s.refuses) {
		s.refuses = ""
		return "", errors.New("it will not")
	}
	if command[0] == "systemctl" {
		return "", s.control(command[1])
	}
	return "", nil
}

func (s *fakeSystemd) show() string {
	sub, restarts, status := "running", 0, 0
	file := map[bool]string{true: "enabled", false: "disabled"}[s.enabled]
	switch s.state {
	case "inactive":
		sub = "dead"
	case "activating":
		sub, restarts, status = "auto-restart", 1, 1
	}
	return fmt.Sprintf("ActiveState=%s\nSubState=%s\nUnitFileState=%s\nExecMainStatus=%d\nNRestarts=%d\nStateChangeTimestamp=%s\n",
		s.state, sub, file, status, restarts, s.since.UTC().Format("Mon 2006-01-02 15:04:05 MST"))
}

func (s *fakeSystemd) control(verb string) error {
	switch verb {
	case "enable":
		s.enabled = true
	case "disable":
		s.enabled = false
	case "stop":
		return s.stop()
	case "start":
		return s.start()
	case "reset-failed":
		return errors.New("it had not failed")
	}
	return nil
}

func (s *fakeSystemd) stop() error {
	running := s.state == "active"
	s.state, s.since = "inactive", time.Now()
	if !running {
		return nil
	}
	s.cancel()
	return <-s.ended
}

func (s *fakeSystemd) start() error {
	s.since = time.Now()
	if s.breaks != "" {
		s.state, s.log, s.breaks = "activating", s.breaks, ""
		return nil
	}
	if s.state == "active" {
		return nil
	}
	options, ready := s.options(), make(chan string, 1)
	options.Listening = func(_, url string) { ready <- url }
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.ended = cancel, make(chan error, 1)
	go func() { s.ended <- serve.Serve(ctx, options) }()
	select {
	case <-ready:
		s.state = "active"
		return nil
	case err := <-s.ended:
		s.state, s.log = "activating", "ndock: "+err.Error()+"\n"
		return nil
	}
}

// options are those that the unit's command line stands for, its paths those below the root.
func (s *fakeSystemd) options() config.Options {
	o := config.Options{Log: slog.New(slog.DiscardHandler), OpenGlance: noGlance}
	words := strings.Fields(properties(s.read(unitPath))["ExecStart"])
	below := strings.NewReplacer("/etc/ndock-registry", filepath.Join(s.root, configPath), "/var/lib/ndock-registry", filepath.Join(s.root, statePath))
	for i, word := range words {
		switch word {
		case "--config":
			o.Config = registrytest.Write(s.t, []byte(below.Replace(s.read(words[i+1]))))
		case "--control":
			o.Control = filepath.Join(s.root, words[i+1])
		case "--tls-next":
			o.NextFile = below.Replace(words[i+1])
		case "--max-uploads":
			o.MaxUploads, _ = strconv.Atoi(words[i+1])
		case "--insecure":
			o.Insecure = true
		case "--proxy-public":
			o.Proxy.Public = true
		}
	}
	return o
}

func (s *fakeSystemd) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		s.t.Error(err)
	}
	return string(text)
}
