// Package atomicfile replaces files by rename, so that nobody reads half a file.
package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

// Write replaces a file. Only the caller's user can read it, unless prepare gives the new file another owner or mode.
func Write(name string, content []byte, prepare func(next *os.File) error) error {
	next, err := renameio.TempFile(filepath.Dir(name), name)
	if err != nil {
		return err
	}
	defer next.Cleanup() // does nothing after the replacement
	_, err = next.Write(content)
	if err := errors.Join(err, prepare(next.File)); err != nil {
		return err
	}
	return next.CloseAtomicallyReplace()
}

// Group returns a prepare function for Write that sets group and mode; the group stays as it is with -1.
func Group(group int, mode fs.FileMode) func(*os.File) error {
	return func(next *os.File) error { return errors.Join(next.Chown(-1, group), next.Chmod(mode)) }
}

// Publish replaces a file, which everyone can read, and makes its directory if need be.
func Publish(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return Write(name, content, Group(-1, 0o644))
}

// CopyOwner gives a file the owner and mode of another one, if that exists.
func CopyOwner(file *os.File, other string) error {
	info, err := os.Stat(other)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := file.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	return file.Chmod(info.Mode().Perm())
}
