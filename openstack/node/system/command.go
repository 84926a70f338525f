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

// Shell runs commands on this machine, each without a shell and without OpenStack's credentials.
type Shell struct{}

// Run runs one command. Its error ends with the last lines that the command printed.
func (Shell) Run(ctx context.Context, command ...string) (string, error) {
	program, err := findProgram(command[0])
	if err != nil {
		return "", fmt.Errorf("run %s: %w", strings.Join(command, " "), err)
	}
	var out, errOut limitedBuffer
	cmd := exec.CommandContext(ctx, program, command[1:]...)
	cmd.Dir = "/" // Python would look for modules in the working directory
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is ndock's to answer; and what runs as nova has no terminal of root's to type into
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second // a service that it started may hold on to its output
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return "", runError(ctx, command, err, out.String()+errOut.String())
	}
	return out.String(), nil
}

// ServiceLimit is how long a service may take to start or to stop: nova-compute ends what it is doing first.
const ServiceLimit = 3 * time.Minute

// Control runs a command of a service manager, or another that has to end within ServiceLimit.
func Control(ctx context.Context, runner Runner, command ...string) (string, error) {
	return RunWithin(ctx, ServiceLimit, runner, command...)
}

// RunWithin runs a command that has to end within a limit.
func RunWithin(ctx context.Context, limit time.Duration, runner Runner, command ...string) (string, error) {
	inTime, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, err := runner.Run(inTime, command...)
	if err != nil && inTime.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("gave up after %s: %w", limit, err)
	}
	return out, err
}

// limitedBuffer keeps the first 16 MiB of what a command prints. No useful answer is longer.
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

// lastLines returns the last lines of a text, and of these the end: they may be of any length.
func lastLines(text string, n int) string {
	const enough = 2000 // bytes
	text = strings.TrimSpace(text)
	lines := strings.Split(text[max(0, len(text)-enough):], "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}

// findProgram looks where administrators' programs are: after a plain su, PATH lacks those directories.
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

// environment returns this process' own, without OpenStack's credentials: services that are started have no need of them.
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
