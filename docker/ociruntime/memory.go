package ociruntime

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// OutOfMemory is where servers' containers have a mark that have ended after the kernel had killed a process in them for want of
// memory: an empty file each, by the container's id. It is there until the container starts again, or the host does.
const OutOfMemory = "/run/ndock/oom"

// countLimit is more than the kernel writes into a file of counts, in bytes.
const countLimit = 4096

// markOutOfMemory leaves the mark of the container that its program keeps in a directory, if the kernel has killed so. Docker Engine
// begins to watch a container just after its start, and does not know of what was before.
func markOutOfMemory(marks, log, dir string) error {
	id := filepath.Base(dir)
	found, err := cgroupsOf(dir, cgroupRoot)
	if err != nil {
		return fmt.Errorf("find the cgroups of container %s: %w", id, err)
	}
	if !found.haveKilled(id, kernelLog(log)) {
		return nil
	}
	if err := os.MkdirAll(marks, 0o700); err != nil {
		return err
	}
	mark, err := os.OpenFile(filepath.Join(marks, id), os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	return mark.Close()
}

// haveKilled tells whether a process of the container with this id was killed for want of memory, by the counts of its cgroups: with
// cgroups v2 those below count, too, and with v1 a container can make none. systemd, where Docker Engine leaves cgroups to it, has
// removed them by now. There the kernel's log tells it of the container's first process.
func (c cgroups) haveKilled(id string, log iter.Seq[string]) bool {
	for _, file := range []string{filepath.Join(c.unified, "memory.events"), filepath.Join(c.memory, "memory.oom_control")} {
		if !isOwn(file, id) {
			continue
		}
		if count, err := readKills(file); err == nil {
			return count > 0
		}
	}
	if c.pid <= 0 { // it was deleted before
		return false
	}
	for record := range log {
		if cgroup, pid := loggedKill(record); pid == c.pid && isOwn(cgroup, id) {
			return true
		}
	}
	return false
}

// readKills reads from a file of counts how many such kills there were. Kernels before 4.13 do not count them.
func readKills(path string) (uint64, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, countLimit))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if count, found := strings.CutPrefix(line, "oom_kill "); found {
			return strconv.ParseUint(strings.TrimSpace(count), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no oom_kill", path)
}

// loggedKill returns the cgroup and the process of which a record of the kernel's log says that it was killed for want of memory; 0
// where it says something else. The process' name stands between the two, and is its tenant's.
func loggedKill(record string) (cgroup string, pid int) {
	head, text, _ := strings.Cut(record, ";")
	level, _, _ := strings.Cut(head, ",")
	if priority, err := strconv.Atoi(level); err != nil || priority > 7 { // others' than the kernel's have a higher one
		return "", 0
	}
	text, isKill := strings.CutPrefix(text, "oom-kill:")
	_, text, hasCgroup := strings.Cut(text, ",task_memcg=")
	cgroup, text, hasTask := strings.Cut(text, ",task=")
	at := strings.LastIndex(text, ",pid=")
	if !isKill || !hasCgroup || !hasTask || at < 0 {
		return "", 0
	}
	number, _, _ := strings.Cut(text[at+len(",pid="):], ",")
	pid, _ = strconv.Atoi(number)
	return cgroup, pid
}

// kernelLogFile is where the kernel's log is read.
const kernelLogFile = "/dev/kmsg"

// The most of the kernel's log that is read: bytes of a record, as the kernel has them, and records.
const (
	recordSize  = 8192
	recordLimit = 1 << 18
)

// kernelLog returns the records of the kernel's log, the oldest first. There are none where it cannot be read.
func kernelLog(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		log, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0) // os.File would wait for the next one
		if err != nil {
			return
		}
		defer unix.Close(log)
		record := make([]byte, recordSize)
		for range recordLimit {
			n, err := unix.Read(log, record)
			switch {
			case errors.Is(err, unix.EPIPE) || errors.Is(err, unix.EINTR): // the kernel has just overwritten some
			case err != nil || n == 0 || !yield(string(record[:n])):
				return
			}
		}
	}
}

// RanOutOfMemory tells whether a container has the mark.
func RanOutOfMemory(marks, id string) bool {
	_, err := os.Lstat(filepath.Join(marks, id))
	return err == nil
}

// ForgetOutOfMemory removes a container's mark. It is no error if there is none.
func ForgetOutOfMemory(marks, id string) error {
	if err := os.Remove(filepath.Join(marks, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget that container %s ran out of memory: %w", id, err)
	}
	return nil
}
