package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ndock/registry"
)

// What the registry is as a service. The paths are below the root.
const (
	serviceName       = "ndock-registry" // and its user, and its group
	unitName          = serviceName + ".service"
	unitPath          = "etc/systemd/system/" + unitName
	configPath        = "etc/ndock-registry"
	statePath         = "var/lib/ndock-registry"
	systemdRuntimeDir = "run/systemd/system" // is there where systemd runs
)

// onHost is where the service finds its files.
var onHost = paths{config: "/" + configPath, data: "/" + statePath, control: "/run/ndock-registry/control.sock"}

// Systemd is the service manager of this machine.
type Systemd struct {
	Root string                                                               // of its file system; / when empty
	Run  func(ctx context.Context, command ...string) (out string, err error) // a command of the machine; really when nil
}

func (s Systemd) path(name string) string { return filepath.Join("/", s.Root, name) }

// unit is the text of the service's unit; nil when there is none.
func (s Systemd) unit() ([]byte, error) {
	text, err := os.ReadFile(s.path(unitPath))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, denied("look for the registry", err)
	}
	if _, ours := parseUnit(text); !ours {
		return nil, &registry.Error{
			Op:   fmt.Sprintf("look at unit %q", s.path(unitPath)),
			Err:  errors.New("it is not a registry of ndock"),
			Help: "give it another name",
		}
	}
	return text, nil
}

// exists tells whether there is such a file or directory.
func (s Systemd) exists(name string) bool {
	_, err := os.Lstat(s.path(name))
	return err == nil
}

// control has systemd do something with the service.
func (s Systemd) control(ctx context.Context, verb string) error {
	_, err := s.run(ctx, "systemctl", verb, unitName)
	return denied(fmt.Sprintf("%s service %s", verb, serviceName), err)
}

// reload has systemd read its units again.
func (s Systemd) reload(ctx context.Context) error {
	_, err := s.run(ctx, "systemctl", "daemon-reload")
	return denied("have systemd read its units", err)
}

// show returns the state of the service.
func (s Systemd) show(ctx context.Context) (serviceState, error) {
	out, err := s.run(ctx, "systemctl", "show", "--property=ActiveState,SubState,UnitFileState,ExecMainStatus,NRestarts,StateChangeTimestamp", unitName)
	if err != nil {
		return serviceState{}, denied("look at service "+serviceName, err)
	}
	return parseState(out), nil
}

// serviceState is what systemd tells of the service.
type serviceState struct {
	active, sub string
	enabled     bool
	status      string // of the process that ended last
	restarts    string // that systemd has made by itself; 0 for none
	since       time.Time
}

func parseState(text string) serviceState {
	p := properties(text)
	since, _ := time.Parse("Mon 2006-01-02 15:04:05 MST", p["StateChangeTimestamp"]) // zero when it never ran
	return serviceState{
		active: p["ActiveState"], sub: p["SubState"], enabled: p["UnitFileState"] == "enabled",
		status: p["ExecMainStatus"], restarts: p["NRestarts"], since: since,
	}
}

func (s serviceState) runs() bool { return s.active == "active" }

// name is as Docker's states are called where there are such, and else as systemd's.
func (s serviceState) name() string {
	switch {
	case s.runs():
		return Running
	case s.sub == "auto-restart":
		return "restarting"
	}
	return s.active
}

// logTail is the end of what the service itself has logged since then.
func (s Systemd) logTail(ctx context.Context, since time.Time) string {
	s.run(ctx, "journalctl", "--sync") // or the last lines may be missing, which are the ones that matter
	out, _ := s.run(ctx, "journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=10",
		"--since=@"+strconv.FormatInt(since.Unix(), 10), "_SYSTEMD_UNIT="+unitName) // no log is no words
	return out
}

func (s Systemd) run(ctx context.Context, command ...string) (string, error) {
	if s.Run != nil {
		return s.Run(ctx, command...)
	}
	return runHere(ctx, command...)
}

// runHere runs a command of this machine. Its error ends in what the command complained of.
func runHere(ctx context.Context, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"} // nothing of ours: there may be secrets in it
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for ndock alone, which decides what ends
	err := cmd.Run()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return out.String(), nil
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	err = fmt.Errorf("run %q: %w", strings.Join(command, " "), err)
	if said := strings.TrimSpace(complaints.String()); said != "" {
		err = fmt.Errorf("%w: %s", err, strings.ReplaceAll(said, "\n", "; "))
	}
	return out.String(), err
}

// denied says what was tried, and what helps where one may not: to others than root, commands say it in their own words.
func denied(op string, err error) error {
	if err != nil && os.Geteuid() != 0 {
		return &registry.Error{Op: op, Err: err, Help: "run it as root"}
	}
	return registry.AsRoot(op, err)
}
