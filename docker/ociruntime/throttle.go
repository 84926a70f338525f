package ociruntime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// runcRoot is where runc keeps its containers without --root.
const runcRoot = "/run/runc"

// endingContainer returns the directory in which runc keeps the container that it is told to kill or to delete; empty for
// another command, and for a signal that a process may handle.
func endingContainer(args []string) string {
	verb := slices.IndexFunc(args, func(arg string) bool { return arg == "kill" || arg == "delete" })
	if verb < 0 {
		return ""
	}
	words := slices.DeleteFunc(slices.Clone(args[verb+1:]), func(arg string) bool { return strings.HasPrefix(arg, "-") })
	switch {
	case len(words) == 0:
		return ""
	case args[verb] == "kill" && (len(words) < 2 || !slices.Contains([]string{"9", "KILL", "SIGKILL"}, words[1])):
		return ""
	}
	return filepath.Join(rootOf(args[:verb]), filepath.Base(words[0]))
}

// rootOf returns the root that runc's global options name.
func rootOf(options []string) string {
	for i, option := range options {
		if value, inOne := strings.CutPrefix(option, "--root="); inOne {
			return value
		}
		if option == "--root" && i+1 < len(options) {
			return options[i+1]
		}
	}
	return runcRoot
}

// unthrottle lifts the limits on the disk I/O of a container that ends. Otherwise a process that waits for its writes would
// only die when they are done, at the rate of the flavor, and unmounting the container's file system would wait too: for
// minutes, and with it the unmounts of all others, because each waits for the whole disk. The next start makes a new cgroup
// with the limits.
func unthrottle(dir string) error {
	found, err := cgroupsOf(dir, cgroupRoot)
	if err != nil {
		return fmt.Errorf("find the cgroups of container %s: %w", filepath.Base(dir), err)
	}
	var failed []error
	if found.unified != "" {
		failed = append(failed, resetDevices(filepath.Join(found.unified, "io.max"), "rbps=max wbps=max riops=max wiops=max"))
	}
	if found.blkio != "" {
		for _, what := range []string{"read_bps", "write_bps", "read_iops", "write_iops"} {
			failed = append(failed, resetDevices(filepath.Join(found.blkio, "blkio.throttle."+what+"_device"), "0"))
		}
	}
	return errors.Join(failed...)
}

// cgroupRoot is where cgroups are: without a directory of a controller's in between with v2, with one with v1.
const cgroupRoot = "/sys/fs/cgroup"

// cgroups are the directories of a container's cgroups, as far as this program needs them. They are empty where there are none.
type cgroups struct {
	unified       string // of cgroups v2
	blkio, memory string // of the controllers of cgroups v1
	pid           int    // of the container's first process, or its sandbox
}

// isOwn tells whether a cgroup is of the container with this id alone.
func isOwn(cgroup, id string) bool {
	return idPattern.MatchString(id) && strings.Contains(filepath.Clean(cgroup), id)
}

// cgroupsOf returns a container's cgroups, as the program has written them down that runs it: runc, crun or gVisor. There are none
// where the container is gone.
func cgroupsOf(dir, root string) (found cgroups, err error) {
	var runcs struct {
		PID     int               `json:"init_process_pid"`
		Cgroups map[string]string `json:"cgroup_paths"` // by controller, with cgroups v2 one without a name
	}
	if err := readState(filepath.Join(dir, "state.json"), &runcs); err != nil || len(runcs.Cgroups) > 0 {
		return cgroups{runcs.Cgroups[""], runcs.Cgroups["blkio"], runcs.Cgroups["memory"], runcs.PID}, err
	}
	var cruns struct {
		PID    int
		Cgroup string `json:"cgroup-path"`
	}
	if err := readState(filepath.Join(dir, "status"), &cruns); err != nil || cruns.Cgroup != "" {
		return cgroups{filepath.Join(root, cruns.Cgroup), filepath.Join(root, "blkio", cruns.Cgroup), filepath.Join(root, "memory", cruns.Cgroup), cruns.PID}, err
	}
	var gvisors struct {
		Sandbox struct {
			PID    int
			Cgroup struct {
				V1      struct{ Name string }             `json:"cgroupv1"`
				V2      struct{ Mountpoint, Path string } `json:"cgroupv2"`
				Systemd struct{ Mountpoint, Path string } `json:"cgroupsystemd"`
			}
		}
	}
	id := filepath.Base(dir)
	err = readState(filepath.Join(filepath.Dir(dir), id+"_sandbox:"+id+".state"), &gvisors)
	found.pid = gvisors.Sandbox.PID
	if v1 := gvisors.Sandbox.Cgroup.V1.Name; v1 != "" {
		found.blkio, found.memory = filepath.Join(root, "blkio", v1), filepath.Join(root, "memory", v1)
	}
	for _, v2 := range []struct{ Mountpoint, Path string }{gvisors.Sandbox.Cgroup.V2, gvisors.Sandbox.Cgroup.Systemd} {
		if v2.Path != "" {
			found.unified = filepath.Join(v2.Mountpoint, v2.Path)
		}
	}
	return found, err
}

// readState reads what a runtime has written of a container, into nothing where it has not.
func readState(path string, into any) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// resetDevices replaces the limit of each device in a file of a cgroup. The kernel takes one device a write.
func resetDevices(path, unlimited string) error {
	limits, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) { // the cgroup is gone, or the kernel has no such limits
		return nil
	}
	if err != nil || len(strings.TrimSpace(string(limits))) == 0 {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	failed := []error{}
	for line := range strings.Lines(string(limits)) {
		if device, _, found := strings.Cut(line, " "); found {
			_, err := file.WriteString(device + " " + unlimited + "\n")
			failed = append(failed, err)
		}
	}
	return errors.Join(append(failed, file.Close())...)
}
