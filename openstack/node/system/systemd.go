package system

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// systemd is the service manager of most machines.
type systemd struct {
	root   string
	runner Runner
}

func (m *systemd) Restart(ctx context.Context, s Service) error { return m.do(ctx, "restart", s) }
func (m *systemd) Stop(ctx context.Context, s Service) error    { return m.do(ctx, "stop", s) }
func (m *systemd) Disable(ctx context.Context, s Service) error { return m.do(ctx, "disable", s) }

func (m *systemd) Begin(ctx context.Context, s Service) error {
	_, err := Control(ctx, m.runner, "systemctl", "restart", "--no-block", s.Name+".service")
	return err
}

// Phase goes by the states of systemd's service.c. While a restart is under way it is a job, and the former process may still
// run. The repeated start of a service that fails is a job, too, but counts as ended: it may go on for ever.
func (m *systemd) Phase(ctx context.Context, s Service) (Phase, error) {
	job, err := m.property(ctx, s, "Job")
	if err != nil {
		return Ended, err
	}
	state, err := m.property(ctx, s, "SubState")
	switch {
	case err != nil, strings.Contains(state, "auto-restart"):
		return Ended, err
	case job != "" && job != "0":
		return Starting, nil
	case state == "running":
		return Ready, nil
	case strings.HasPrefix(state, "dead"), strings.HasPrefix(state, "failed"):
		return Ended, nil
	}
	return Starting, nil
}

// Start also starts what systemd has given up because it failed too often.
func (m *systemd) Start(ctx context.Context, s Service) error {
	_ = m.do(ctx, "reset-failed", s) // which is an error where nothing had failed
	return m.do(ctx, "start", s)
}

func (m *systemd) Enable(ctx context.Context, s Service) error {
	if err := m.Forget(ctx, s); err != nil { // what it knew of an earlier unit
		return err
	}
	return m.do(ctx, "enable", s)
}

func (m *systemd) Forget(ctx context.Context, _ Service) error {
	_, err := Control(ctx, m.runner, "systemctl", "daemon-reload")
	return err
}

// Enabled goes by the state: the exit status is not 0 for a service that is merely disabled.
func (m *systemd) Enabled(ctx context.Context, s Service) (bool, error) {
	state, err := m.property(ctx, s, "UnitFileState")
	return state == "enabled", err
}

func (m *systemd) PID(ctx context.Context, s Service) (int, error) {
	pid, err := m.property(ctx, s, "MainPID")
	if err != nil {
		return 0, err
	}
	number, err := strconv.Atoi(pid)
	if err != nil {
		return 0, fmt.Errorf("ask systemd for the process of %s: %w", s.Name, err)
	}
	return number, nil
}

func (m *systemd) ReadLog(s Service) string { return "journalctl -u " + s.Name }

func (m *systemd) Files(d Daemon) []File {
	var files []File
	if len(d.Unit) > 0 {
		files = append(files, File{Path: unitOf(d.Name), Content: d.Unit, Mode: 0o644})
	}
	if len(d.DropIn) > 0 {
		files = append(files, File{Path: unitOf(d.Name) + ".d/ndock.conf", Content: d.DropIn, Mode: 0o644})
	}
	return files
}

func (m *systemd) Descriptions(s Service) []string {
	return []string{unitOf(s.Name), "/usr/lib/systemd/system/" + s.Name + ".service"}
}

func unitOf(name string) string { return "/etc/systemd/system/" + name + ".service" }

func (m *systemd) property(ctx context.Context, s Service, name string) (string, error) {
	out, err := Control(ctx, m.runner, "systemctl", "show", "--property", name, "--value", s.Name+".service")
	return strings.TrimSpace(out), err
}

func (m *systemd) do(ctx context.Context, verb string, s Service) error {
	_, err := Control(ctx, m.runner, "systemctl", verb, s.Name+".service")
	return err
}
