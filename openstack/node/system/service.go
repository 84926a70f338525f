// Package system is how setup works on this machine: services and processes, commands, files in directories that others than
// root may write to, and the lock that keeps two setups apart.
package system

import (
	"context"
	"os"
	"path/filepath"
)

// Service is a service of this machine.
type Service struct {
	Name    string
	PIDFile string // for init scripts; systemd knows the process
	Log     string // likewise
}

// Services is the machine's service manager.
type Services interface {
	// Start starts a service that does not run.
	Start(ctx context.Context, s Service) error
	// Restart starts a service anew, also one that does not run.
	Restart(ctx context.Context, s Service) error
	// Begin is Restart, but does not wait until the service says that it is ready, which it may never do. See Phase.
	Begin(ctx context.Context, s Service) error
	// Phase returns how far a service is that Begin has restarted.
	Phase(ctx context.Context, s Service) (Phase, error)
	Stop(ctx context.Context, s Service) error
	// Enable has a service that was just installed, or has changed, started at boot.
	Enable(ctx context.Context, s Service) error
	// Disable has a service no longer started at boot.
	Disable(ctx context.Context, s Service) error
	// Forget has the manager forget a service whose files are removed.
	Forget(ctx context.Context, s Service) error
	// Enabled tells whether a service is started at boot.
	Enabled(ctx context.Context, s Service) (bool, error)
	// PID returns the main process, 0 where there is none.
	PID(ctx context.Context, s Service) (int, error)
	// Arguments returns the words that the service would be started with now.
	Arguments(ctx context.Context, s Service) ([]string, error)
	// ReadLog returns the command by which a person reads the service's log.
	ReadLog(s Service) string
	// Files returns the files that make a program a service. The first one names the program, where no package
	// has one that does.
	Files(d Daemon) []File
	// Descriptions returns the paths of which one is there where there is such a service.
	Descriptions(s Service) []string
}

// A Daemon is a program that is to be a service, described for each service manager.
type Daemon struct {
	Name     string
	Unit     []byte // of systemd; empty where a package has it
	DropIn   []byte // for the package's unit; empty where that is right as it is
	Script   []byte // of System V's init
	Rotation []byte // of the script's log, for logrotate
}

// A Phase is how far the start of a service is.
type Phase int

// The phases of a service. One that systemd is about to start again, because it ended, has ended.
const (
	Ended Phase = iota
	Starting
	Ready // also where a service does not say when it is
)

// FindServices returns the service manager of the machine under a root: systemd where that runs, else init scripts.
func FindServices(root string, runner Runner) Services {
	if info, err := os.Stat(filepath.Join(root, "/run/systemd/system")); err == nil && info.IsDir() {
		return &systemd{root, runner}
	}
	return &sysvinit{root, runner}
}
