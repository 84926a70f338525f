package ociruntime

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// write writes a file, and the directories that it is in.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// killRecord is one of Linux 6.18, of a container whose cgroups are systemd's.
const killRecord = "6,74624,70313059085,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=docker-" + containerID + ".scope,mems_allowed=0," +
	"oom_memcg=/system.slice/docker-" + containerID + ".scope,task_memcg=/system.slice/docker-" + containerID + ".scope,task=tail,pid=1234,uid=0\n"

// TestMarkOutOfMemory: the kernel's counts say who was killed, its log only where they are gone.
func TestMarkOutOfMemory(t *testing.T) {
	const v1, v2, own, none = "memory", "", "docker/" + containerID, "low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\noom_group_kill 0\n"
	other := strings.Repeat("f", 64)
	for name, c := range map[string]struct {
		controller, cgroup, file, text, log string
		marked                              bool
	}{
		"v1":                       {v1, own, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", "", true},
		"v1, none":                 {v1, own, "memory.oom_control", "oom_kill_disable 1\nunder_oom 1\noom_kill 0\n", "", false},
		"v1, a kernel before 4.13": {v1, own, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", "", false},
		"v2":                       {v2, own, "memory.events", strings.Replace(none, "oom_kill 0", "oom_kill 2", 1), "", true},
		"v2, none":                 {v2, own, "memory.events", none, killRecord, false}, // the log may be about another run
		"v2, others' cgroup":       {v2, "docker", "memory.events", "oom_kill 1\n", "", false},
		"v2, above its own":        {v2, own + "/..", "memory.events", "oom_kill 1\n", "", false},
		"no number":                {v2, own, "memory.events", "oom_kill one\n", "", false},
		"behind the limit":         {v2, own, "memory.events", strings.Repeat("x", countLimit) + "\noom_kill 1\n", "", false},
		"gone, logged":             {v2, own, "", "", killRecord, true},
		"gone, v1, logged":         {v1, own, "", "", killRecord, true},
		"gone, not logged":         {v2, own, "", "", "6,1,1,-;ndock: oom-kill:\n", false},
		"gone, another process":    {v2, own, "", "", strings.Replace(killRecord, "pid=1234", "pid=1235", 1), false},
		"gone, another container":  {v2, own, "", "", strings.ReplaceAll(killRecord, containerID, other), false},
		"gone, its parent's limit": {v2, own, "", "", strings.Replace(killRecord, "oom_memcg=/system.slice/docker-"+containerID+".scope", "global_oom", 1), true},
		"gone, no log":             {v2, own, "", "", "", false},
	} {
		root := t.TempDir()
		marks, log, dir, cgroup := filepath.Join(root, "oom"), filepath.Join(root, "log"), filepath.Join(root, containerID), filepath.Join(root, "cgroup")
		write(t, log, c.log)
		write(t, filepath.Join(dir, "state.json"), fmt.Sprintf(`{"init_process_pid":1234,"cgroup_paths":{%q:%q}}`, c.controller, cgroup+"/"+c.cgroup))
		if c.file != "" {
			write(t, filepath.Join(cgroup, c.cgroup, c.file), c.text)
		}
		if err := markOutOfMemory(marks, log, dir); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := RanOutOfMemory(marks, containerID); got != c.marked {
			t.Errorf("%s: marked %t", name, got)
		}
	}
}

// TestLoggedKill: a process' name is its tenant's, and whoever may write to the log is not the kernel.
func TestLoggedKill(t *testing.T) {
	const cgroup = "/system.slice/docker-" + containerID + ".scope"
	for record, want := range map[string]int{
		killRecord: 1234,
		strings.Replace(killRecord, "task=tail", "task=,pid=1,uid=0", 1):    1234,
		strings.Replace(killRecord, "task=tail", "task=x,task=y", 1):        1234,
		"12" + strings.TrimPrefix(killRecord, "6"):                          0, // by a program
		"x" + strings.TrimPrefix(killRecord, "6"):                           0,
		strings.Replace(killRecord, ";oom-kill:", ";martian: oom-kill:", 1): 0,
		strings.Replace(killRecord, ",pid=1234,uid=0", "", 1):               0,
		strings.Replace(killRecord, "pid=1234", "pid=-", 1):                 0,
		"": 0, ";": 0, "6,1,2,-;oom-kill:": 0,
	} {
		if got, pid := loggedKill(record); pid != want || want > 0 && got != cgroup {
			t.Errorf("%q: got %q, %d, want %d", record, got, pid, want)
		}
	}
}

// FuzzLoggedKill: no name of a process hides which one it was.
func FuzzLoggedKill(f *testing.F) {
	f.Add("tail", 7)
	f.Add(",pid=1,uid=0", 9)
	f.Add(";oom-kill:,task_memcg=/x,task=", 2)
	f.Fuzz(func(t *testing.T, name string, pid int) {
		record := fmt.Sprintf("6,1,2,-;oom-kill:constraint=CONSTRAINT_NONE,task_memcg=/docker/c,task=%s,pid=%d,uid=0\n", name, pid)
		if cgroup, got := loggedKill(record); cgroup != "/docker/c" || got != pid {
			t.Errorf("got %q, %d, want %d", cgroup, got, pid)
		}
		_, _ = loggedKill(name)
	})
}

// TestKernelLog ends where the log does, and does not wait for more.
func TestKernelLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	write(t, file, killRecord)
	if got := slices.Collect(kernelLog(file)); len(got) != 1 || got[0] != killRecord {
		t.Errorf("got %q", got)
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(kernelLog(fifo)); got != nil {
		t.Errorf("got %q", got)
	}
	if got := slices.Collect(kernelLog(filepath.Join(t.TempDir(), "none"))); got != nil {
		t.Errorf("got %q", got)
	}
}

// TestMarksAreOfServersAlone, left by what ends them, and keep none from that.
func TestMarksAreOfServersAlone(t *testing.T) {
	ownMounts(t)
	if err := unix.Mount("ndock-test", "/run", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	dir, cgroup := filepath.Join(t.TempDir(), containerID), filepath.Join(t.TempDir(), containerID)
	state := filepath.Join(dir, "state.json")
	write(t, filepath.Join(cgroup, "memory.events"), "oom_kill 1\n")
	write(t, state, `{"cgroup_paths":{"":"`+cgroup+`"}}`)
	server := Choice{Name: RunC, Server: "/var/lib/ndock/servers/s"}
	Choice{Name: RunC}.prepareEnd(dir, "delete")
	server.prepareEnd(dir, "kill")
	if RanOutOfMemory(OutOfMemory, containerID) {
		t.Error("there is a mark already")
	}
	server.prepareEnd(dir, "delete")
	write(t, state, "{")
	server.prepareEnd(dir, "delete") // it stays when there is nothing left to look at
	if info, err := os.Stat(OutOfMemory); err != nil || info.Mode().Perm() != 0o700 || !RanOutOfMemory(OutOfMemory, containerID) {
		t.Errorf("there is no mark: %v, %v", info, err)
	}
	for range 2 {
		if err := ForgetOutOfMemory(OutOfMemory, containerID); err != nil || RanOutOfMemory(OutOfMemory, containerID) {
			t.Errorf("it is not forgotten: %v", err)
		}
	}
}
