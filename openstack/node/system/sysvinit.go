package system

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sysvinit runs init scripts, for machines without systemd.
type sysvinit struct {
	root   string
	runner Runner
}

func (m *sysvinit) Start(ctx context.Context, s Service) error   { return m.do(ctx, s, "start") }
func (m *sysvinit) Restart(ctx context.Context, s Service) error { return m.do(ctx, s, "restart") }
func (m *sysvinit) Stop(ctx context.Context, s Service) error    { return m.do(ctx, s, "stop") }

// Begin is Restart: a script does not wait until what it has started is ready.
func (m *sysvinit) Begin(ctx context.Context, s Service) error { return m.Restart(ctx, s) }

func (m *sysvinit) Phase(ctx context.Context, s Service) (Phase, error) {
	pid, err := m.PID(ctx, s)
	if pid == 0 {
		return Ended, err
	}
	return Ready, err
}

func (m *sysvinit) Enable(ctx context.Context, s Service) error {
	if _, err := Control(ctx, m.runner, "update-rc.d", s.Name, "defaults"); err != nil {
		return err
	}
	_, err := Control(ctx, m.runner, "update-rc.d", s.Name, "enable") // where it had been switched off
	return err
}

func (m *sysvinit) Disable(ctx context.Context, s Service) error {
	_, err := Control(ctx, m.runner, "update-rc.d", "-f", s.Name, "remove")
	return err
}

func (m *sysvinit) Forget(context.Context, Service) error { return nil }

// Enabled looks for the links by which the script is started at boot.
func (m *sysvinit) Enabled(_ context.Context, s Service) (bool, error) {
	links, err := filepath.Glob(filepath.Join(m.root, "/etc/rc[2-5].d/S??"+s.Name))
	return len(links) > 0, err
}

// PID goes by the pid file, as long as there is such a process.
func (m *sysvinit) PID(_ context.Context, s Service) (int, error) {
	path := filepath.Join(m.root, s.PIDFile)
	content, err := ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, FileError("read", path, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0, nil // half written by a service that is starting
	}
	if _, err := os.Stat(filepath.Join(m.root, "/proc", strconv.Itoa(pid))); err != nil {
		return 0, nil
	}
	return pid, nil
}

func (m *sysvinit) ReadLog(s Service) string { return "tail " + s.Log }

func (m *sysvinit) Files(d Daemon) []File {
	return []File{
		{Path: scriptOf(d.Name), Content: d.Script, Mode: 0o755},
		{Path: "/etc/logrotate.d/" + d.Name, Content: d.Rotation, Mode: 0o644},
	}
}

func (m *sysvinit) Descriptions(s Service) []string { return []string{scriptOf(s.Name)} }

func scriptOf(name string) string { return "/etc/init.d/" + name }

func (m *sysvinit) do(ctx context.Context, s Service, verb string) error {
	_, err := Control(ctx, m.runner, "service", s.Name, verb)
	return err
}
