package ociruntime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// limits are how long a program other than runc may take for a verb. A create and a delete run the hooks. Other verbs have none,
// as an exec whose process is waited for.
var limits = map[string]time.Duration{
	"create": createLimit, "start": startLimit, "delete": deleteLimit,
	"exec": 30 * time.Second, "state": 15 * time.Second,
	"kill": 15 * time.Second, "pause": 15 * time.Second, "resume": 15 * time.Second,
}

const (
	createLimit  = 60 * time.Second
	startLimit   = 30 * time.Second
	deleteLimit  = 60 * time.Second
	removalLimit = 15 * time.Second // of a container whose processes were killed; what its hook does is done again
)

// LongestStart is what a start takes that fails as late as it can: the container is created, does not start, is removed, and
// Docker Engine deletes what is left. After each limit those are waited for that were killed.
const LongestStart = createLimit + startLimit + killLimit + removalLimit + 2*killLimit + deleteLimit + killLimit

// limitOf returns the limit of the verb that is in the engine's arguments; 0 for none.
func limitOf(args []string) time.Duration {
	verb := verbOf(args)
	if verb == "exec" && !slices.Contains(args, "--detach") && !slices.Contains(args, "-d") {
		return 0
	}
	return limits[verb]
}

// verbOf returns the verb with a limit that is in the engine's arguments, if one is.
func verbOf(args []string) string {
	i := slices.IndexFunc(args, func(arg string) bool { return limits[arg] > 0 })
	if i < 0 {
		return ""
	}
	return args[i]
}

// supervise runs a program, which talks to whom this process does, with a time limit, and returns its exit status. What the
// program leaves running, as a sandbox, becomes a child of this process, and when this process ends a child of Docker Engine's
// shim, as it would without this process in between. After the limit all of it is killed.
func supervise(command *exec.Cmd, limit time.Duration) (int, error) {
	runtime.LockOSThread() // the program is killed when the thread that started it ends
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("look after what %s starts: %w", command.Path, err)
	}
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return 0, fmt.Errorf("run %s: %w", command.Path, err)
	}
	late := time.AfterFunc(limit, func() { _ = command.Process.Kill() })
	err := command.Wait()
	if !late.Stop() {
		return 0, errors.Join(fmt.Errorf("%s did not end within %s, and was killed", command.Path, limit), killChildren())
	}
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.ExitCode() > 0 {
		return ended.ExitCode(), nil // it has said itself what was wrong
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", command.Path, err)
	}
	return 0, nil
}

// killLimit is how long processes are waited for that were killed.
const killLimit = 3 * time.Second

// killChildren kills all children of this process, and those that become its children thereby.
func killChildren() error {
	for deadline := time.Now().Add(killLimit); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, pid := range children() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if errors.Is(err, unix.ECHILD) {
				return nil
			}
			if pid <= 0 && !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
	return errors.New("what it started does not end")
}

// children returns the processes that are children of this one.
func children() []int {
	var pids []int
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		text, _ := os.ReadFile(list) // of a thread that has ended there is none
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
