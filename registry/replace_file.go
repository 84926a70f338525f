package registry

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// replaceFile writes by rename, so that nobody ever reads half a file. It is root's alone, unless prepare makes it
// something else.
func replaceFile(name string, content []byte, prepare func(next *os.File) error) error {
	next, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".")
	if err != nil {
		return err
	}
	defer os.Remove(next.Name()) // which is gone if all went well
	_, err = next.Write(content)
	if err := errors.Join(err, prepare(next), next.Sync(), next.Close()); err != nil {
		return err
	}
	return os.Rename(next.Name(), name)
}

// of gives a file to a group, or with -1 to none other, by that mode.
func of(group int, mode fs.FileMode) func(*os.File) error {
	return func(next *os.File) error { return errors.Join(next.Chown(-1, group), next.Chmod(mode)) }
}

// publish writes a file that all may read, in a directory that is made if need be.
func publish(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return replaceFile(name, content, of(-1, 0o644))
}

// likeness gives a file the owner and mode of the one that it replaces.
func likeness(file *os.File, other string) error {
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
