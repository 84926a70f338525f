package completion

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// Names is what completion remembers of a cloud, since no cloud answers before a finger is off the key: a file for each kind of
// thing, with a name a line.
type Names struct {
	Dir  string        // only the user's
	Wait time.Duration // that a key press has for a newer answer

	// Refresh starts what writes the file, by Write, and returns a channel that is closed when that has ended.
	Refresh func(kind, file string) (<-chan struct{}, error)
}

const (
	fresh     = 30 * time.Second // for so long names are offered without asking again
	stale     = 24 * time.Hour   // after that they are not offered
	forgotten = 7 * stale        // and then the file is removed
	pause     = 5 * time.Minute  // after a failure: each try may be a login, and Keystone locks a user out after some that fail
	mostNames = 1000
	mostBytes = 1 << 20
)

// Of returns the names of a kind in a cloud. What says which cloud it is must have no secrets in it.
func (n Names) Of(kind string, cloud []string) []string {
	if !private(n.Dir) {
		return nil
	}
	file := filepath.Join(n.Dir, kind+"-"+digest(cloud))
	known, age := read(file)
	if age >= fresh && !failedLately(file) && n.refresh(kind, file) {
		known, age = read(file)
	}
	if age > stale {
		return nil
	}
	return known
}

// refresh tells whether there is a newer answer in time.
func (n Names) refresh(kind, file string) bool {
	done, err := n.Refresh(kind, file)
	if err != nil {
		return false
	}
	select {
	case <-done:
		return true
	case <-time.After(n.Wait):
		return false
	}
}

// failure is the file that says by its age when the cloud of a file of names was asked in vain, for whatever kind.
func failure(file string) string {
	name := filepath.Base(file)
	return filepath.Join(filepath.Dir(file), "failed-"+name[strings.LastIndex(name, "-")+1:])
}

func failedLately(file string) bool {
	_, age := read(failure(file))
	return age < pause
}

func digest(texts []string) string {
	hash := sha256.New()
	for _, text := range texts {
		fmt.Fprintf(hash, "%d:%s", len(text), text)
	}
	return hex.EncodeToString(hash.Sum(nil))[:32]
}

// plain are names that mean nothing to any shell. Others' names are theirs to choose, and shells put them into command lines.
var plain = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.,:@+/-]{0,254}$`)

// read returns the names of a file, and how old it is: for ever, where there is none.
func read(file string) (names []string, age time.Duration) {
	opened, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, forgotten
	}
	defer opened.Close()
	info, err := opened.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, forgotten
	}
	lines := bufio.NewScanner(io.LimitReader(opened, mostBytes))
	for lines.Scan() && len(names) < mostNames {
		if plain.MatchString(lines.Text()) {
			names = append(names, lines.Text())
		}
	}
	return names, max(0, time.Since(info.ModTime()))
}

// Write has list make the file anew, but not while another process does, nor soon after it failed. Files that nobody has asked for lately are removed.
func Write(file string, list func() ([]string, error)) error {
	if dir := filepath.Dir(file); !private(dir) {
		return fmt.Errorf("write the names to complete: %s, or a directory above it, is another user's or can be written by others", dir)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("make the directory for names to complete: %w", err)
	}
	unlock, err := lock(file + ".lock")
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lock the names to complete: %w", err)
	}
	defer unlock()
	if failedLately(file) {
		return nil
	}
	names, err := list()
	if err != nil {
		return errors.Join(err, replace(failure(file), nil))
	}
	return write(file, names)
}

func write(file string, names []string) error {
	names = slices.DeleteFunc(names, func(name string) bool { return !plain.MatchString(name) })
	slices.Sort(names)
	names = slices.Compact(names)
	var content bytes.Buffer
	for _, name := range names[:min(len(names), mostNames)] {
		content.WriteString(name + "\n")
	}
	if err := replace(file, content.Bytes()); err != nil {
		return fmt.Errorf("write the names to complete: %w", err)
	}
	return forget(filepath.Dir(file))
}

// replace makes a file in its own directory: that for temporary files may be another user's.
func replace(file string, content []byte) error {
	return renameio.WriteFile(file, content, 0o600, renameio.WithTempDir(filepath.Dir(file)))
}

func lock(file string) (unlock func(), err error) {
	opened, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(opened.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return func() { _ = opened.Close() }, nil // which gives the lock back
}

func forget(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look for old names to complete: %w", err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && entry.Type().IsRegular() && strings.Contains(entry.Name(), "-") && time.Since(info.ModTime()) > forgotten {
			_ = os.Remove(filepath.Join(dir, entry.Name())) // or the next time
		}
	}
	return nil
}
