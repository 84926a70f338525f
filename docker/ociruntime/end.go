package ociruntime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ndock/docker/network"
)

// attempt has the program do a verb within a time limit, and returns the exit status for Docker Engine. A program may leave a
// container as it is that is to end: gVisor asks the sandbox itself to die, which may hang, or be its tenant's by now, and a
// program that was uninstalled does nothing. This process then ends the container. Docker Engine has only deleted what has ended
// or is to end.
func (c Choice) attempt(args []string, limit time.Duration) (int, error) {
	status, err := c.run(limit, args...)
	if status == 0 && err == nil {
		return 0, nil
	}
	ending, verb := endingContainer(args), verbOf(args)
	switch {
	case verb == "create" || verb == "start": // the first error is the reason
		return status, errors.Join(err, killChildren(), c.end(filepath.Join(rootOf(args), lastID(args)), true))
	case ending == "" || verb == "exec":
	case verb == "kill":
		if killed, failed := killContainer(ownCgroups(ending)); killed {
			return 0, failed
		}
	case c.end(ending, err == nil) == nil: // it is asked again if it has answered
		return 0, nil
	}
	return status, err
}

// run has the program do something, if it is still one that root should run.
func (c Choice) run(limit time.Duration, args ...string) (status int, err error) {
	if err := CheckProgram(c.Path); err != nil {
		return 0, err
	}
	return supervise(exec.Command(c.Path, slices.Concat(c.Args, args)...), limit)
}

// errStays is the end of a container of which this process does not know how to end it.
var errStays = errors.New("the container's runtime does not remove it, and where its processes are is not known")

// end kills all processes of a container, and removes what its program has written of it. The program is asked to do that where
// something was killed that may have kept it from that, or where it must be asked anyway.
func (c Choice) end(dir string, ask bool) error {
	root, id := filepath.Split(dir)
	cgroups := ownCgroups(dir)
	killed, err := killContainer(cgroups)
	removed := false
	if killed || ask {
		status, failed := c.run(removalLimit, "--root", filepath.Clean(root), "delete", "--force", id)
		removed = status == 0 && failed == nil
	}
	switch {
	case err != nil || removed:
	case len(cgroups) == 0:
		err = errStays
	default:
		err = removeState(dir)
		removeCgroups(cgroups)
	}
	return errors.Join(err, c.unplug(id))
}

// unplug does what the hook does that runs when a container has ended.
func (c Choice) unplug(id string) error {
	var ports []network.Port
	var err error
	if c.Server != "" {
		ports, err = network.Ports(c.Server)
	}
	return errors.Join(err, network.Leave(ports, network.NetnsPath(id)), ReleaseNames(filepath.Join(Names, id)))
}

// ownCgroups returns the cgroups of the container with this directory, as far as they are known. One whose path does not have the
// container's id is not its own.
func ownCgroups(dir string) []string {
	id := filepath.Base(dir)
	found, _ := cgroupsOf(dir, cgroupRoot) // what cannot be read says nothing
	return slices.DeleteFunc([]string{found.unified, found.blkio}, func(path string) bool { return !isOwn(path, id) })
}

// killContainer kills all in a container's cgroups, and tells whether there was any process.
func killContainer(cgroups []string) (killed bool, err error) {
	for deadline := time.Now().Add(killLimit); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if !killCgroups(cgroups) {
			return killed, nil
		}
		killed = true
	}
	return killed, fmt.Errorf("processes in %s do not end within %s, though they were killed", strings.Join(cgroups, ", "), killLimit)
}

// killCgroups kills all in these cgroups and those below them, and tells whether there was any.
func killCgroups(cgroups []string) (found bool) {
	for _, cgroup := range cgroups {
		_ = filepath.WalkDir(cgroup, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				found = killCgroup(path) || found
			}
			return nil // it may have gone meanwhile
		})
	}
	return found
}

// killCgroup kills all in one cgroup. Newer kernels kill those that are being started, too.
func killCgroup(dir string) (found bool) {
	text, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	pids := strings.Fields(string(text))
	if len(pids) == 0 {
		return false
	}
	if all, err := os.OpenFile(filepath.Join(dir, "cgroup.kill"), os.O_WRONLY, 0); err == nil {
		_, _ = all.WriteString("1")
		all.Close()
	}
	for _, word := range pids {
		pid, err := strconv.Atoi(word)
		if err == nil && pid > 1 { // 0 is one that this process cannot see
			found = unix.Kill(pid, unix.SIGKILL) == nil || found
		}
	}
	return found
}

// removeState removes the files that a program has written of a container: all in its root that have the container's id in their
// names. It does not go below what may be mounted there.
func removeState(dir string) error {
	entries, err := os.ReadDir(filepath.Dir(dir))
	failed := []error{err}
	for _, entry := range entries {
		if !strings.Contains(entry.Name(), filepath.Base(dir)) {
			continue
		}
		path := filepath.Join(filepath.Dir(dir), entry.Name())
		if within, err := os.ReadDir(path); err == nil {
			for _, file := range within {
				failed = append(failed, os.Remove(filepath.Join(path, file.Name())))
			}
		}
		failed = append(failed, os.Remove(path))
	}
	return errors.Join(failed...)
}

// removeCgroups removes cgroups that are empty, with those below them; of cgroups v1, where each controller has one, all. What it
// cannot remove costs next to nothing.
func removeCgroups(cgroups []string) {
	var all []string
	for _, cgroup := range cgroups {
		if path, isV1 := strings.CutPrefix(cgroup, filepath.Join(cgroupRoot, "blkio")+"/"); isV1 {
			others, _ := filepath.Glob(filepath.Join(cgroupRoot, "*", path))
			cgroups = append(cgroups, others...)
		}
	}
	for _, cgroup := range cgroups {
		_ = filepath.WalkDir(cgroup, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				all = append(all, path)
			}
			return nil
		})
	}
	for _, path := range slices.Backward(all) {
		_ = unix.Rmdir(path)
	}
}
