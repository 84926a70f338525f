package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Runner runs the machine's own commands.
type Runner interface {
	// Run returns what the command printed on stdout.
	Run(ctx context.Context, command ...string) (string, error)
}

// Shell runs commands as a person at this machine would, without the shell.
type Shell struct{}

// Run runs one command. Its error ends in the last lines that the command printed.
func (Shell) Run(ctx context.Context, command ...string) (string, error) {
	program, err := findProgram(command[0])
	if err != nil {
		return "", fmt.Errorf("run %s: %w", strings.Join(command, " "), err)
	}
	var out, complaints limitedBuffer
	cmd := exec.CommandContext(ctx, program, command[1:]...)
	cmd.Dir = "/" // Python would look for modules in the working directory
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = &out, &complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is ndock's to answer; and what runs as nova has no terminal of root's to type into
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second // a service that it started may hold on to its output
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return "", runError(ctx, command, err, out.String()+complaints.String())
	}
	return out.String(), nil
}

// serviceLimit is what a service may take to start or to stop: nova-compute ends what it is doing first.
const ServiceLimit = 3 * time.Minute

// control runs one command of a service manager.
func Control(ctx context.Context, runner Runner, command ...string) (string, error) {
	inTime, cancel := context.WithTimeout(ctx, ServiceLimit)
	defer cancel()
	out, err := runner.Run(inTime, command...)
	if err != nil && inTime.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("gave up after %s: %w", ServiceLimit, err)
	}
	return out, err
}

// limited keeps the beginning of what a command prints: no answer that is waited for is longer.
type limitedBuffer struct{ strings.Builder }

func (l *limitedBuffer) Write(text []byte) (int, error) {
	const most = 16 << 20
	l.Builder.Write(text[:min(len(text), max(0, most-l.Len()))])
	return len(text), nil
}

func runError(ctx context.Context, command []string, err error, printed string) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	err = fmt.Errorf("run %q: %w", strings.Join(command, " "), err)
	if strings.TrimSpace(printed) == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, Printable(lastLines(printed, 3)))
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}

// lookUp knows where administrators' programs are: after a plain su, PATH does not.
func findProgram(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(programs) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode()&0o111 != 0 {
			return filepath.Join(dir, name), nil
		}
	}
	return "", &fs.PathError{Op: "find", Path: name, Err: fs.ErrNotExist}
}

const programs = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment keeps OpenStack's credentials from commands, and from the services that they start.
func environment() []string {
	env := []string{"PATH=" + programs, "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		switch {
		case strings.HasPrefix(name, "OS_"), name == "PATH", name == "LC_ALL", name == "DEBIAN_FRONTEND":
		default:
			env = append(env, variable)
		}
	}
	return env
}
