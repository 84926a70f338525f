// Package system is how setup works on this machine: services and processes, commands, files in directories that others than
// root may write to, and the lock that keeps two setups apart.
package system

import (
	"context"
	"os"
	"path/filepath"
)

// Service is a daemon of this machine.
type Service struct {
	Name    string
	PIDFile string // where there is no systemd to ask
	Log     string // likewise
}

// Services is the machine's service manager.
type Services interface {
	// Start does nothing when the service runs; Restart starts it when it does not.
	Start(ctx context.Context, s Service) error
	Restart(ctx context.Context, s Service) error
	// Begin restarts it and does not wait until it says that it is ready: it may never be. Phase tells how far it is.
	Begin(ctx context.Context, s Service) error
	Phase(ctx context.Context, s Service) (Phase, error)
	Stop(ctx context.Context, s Service) error
	// Enable makes a service that was just installed, or has changed, known, and has it started at boot.
	Enable(ctx context.Context, s Service) error
	// Disable has it no longer started at boot; Forget is for when it is removed.
	Disable(ctx context.Context, s Service) error
	Forget(ctx context.Context, s Service) error
	Enabled(ctx context.Context, s Service) (bool, error)
	// PID returns the main process, 0 when there is none.
	PID(ctx context.Context, s Service) (int, error)
	// Arguments returns the words that the service is to be started with, as its manager and files say now.
	Arguments(ctx context.Context, s Service) ([]string, error)
	// ReadLog is how a person reads the service's log.
	ReadLog(s Service) string
	// Files returns what makes a program a service. The first file is the one that names the program.
	Files(d Daemon) []File
}

// A Daemon is a program that is to be a service, as each service manager has it described.
type Daemon struct {
	Name     string
	Unit     []byte // of systemd
	Script   []byte // of System V's init
	Rotation []byte // of the script's log, by logrotate
}

// A Phase is how far a service is that was begun.
type Phase int

// The phases of a service. One that systemd is about to start again because it ended has ended.
const (
	Ended Phase = iota
	Starting
	Ready // or it does not say when it is
)

// FindServices returns systemd where that is what runs the machine, else System V's init scripts.
func FindServices(root string, runner Runner) Services {
	if info, err := os.Stat(filepath.Join(root, "/run/systemd/system")); err == nil && info.IsDir() {
		return &systemd{root, runner}
	}
	return &sysvinit{root, runner}
}
