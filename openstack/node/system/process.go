package system

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ticks is the unit of process times in /proc, a 100th of a second on every architecture that Linux still has.
const ticks = 100

// ClockSlack is how much older than a file a process may seem that has read it: the clocks are that coarse, and no program
// reads its files sooner after its start.
const ClockSlack = 200 * time.Millisecond

// Outdated tells whether a process was started before the newest of the files was written, or has just ended.
func Outdated(root string, pid int, paths []string) (bool, error) {
	since, err := Started(root, pid)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for _, path := range paths {
		path = filepath.Join(root, path)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, FileError("read", path, err)
		}
		if info.ModTime().After(since.Add(ClockSlack)) {
			return true, nil
		}
	}
	return false, nil
}

// Started returns when a process was started.
func Started(root string, pid int) (time.Time, error) {
	uptime, err := os.ReadFile(filepath.Join(root, "/proc/uptime"))
	if err != nil {
		return time.Time{}, err
	}
	stat, err := os.ReadFile(filepath.Join(root, "/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return time.Time{}, err
	}
	up, upErr := field(string(uptime), 0)
	behindName := string(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name may have anything in it
	begun, begunErr := field(behindName, 19)                      // field 22, counted as proc(5) does
	if err := errors.Join(upErr, begunErr); err != nil {
		return time.Time{}, fmt.Errorf("tell since when process %d runs: %w", pid, err)
	}
	return time.Now().Add(-time.Duration((up - begun/ticks) * float64(time.Second))), nil
}

func field(text string, n int) (float64, error) {
	words := strings.Fields(text)
	if n >= len(words) {
		return 0, fmt.Errorf("no number in %q", text)
	}
	return strconv.ParseFloat(words[n], 64)
}
