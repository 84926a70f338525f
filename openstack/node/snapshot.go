package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// snapshot is a file as it was, or shall be.
type snapshot struct {
	path     string
	missing  bool // there was none
	content  []byte
	mode     fs.FileMode
	uid, gid int
	label    []byte // of SELinux's, where it has one
}

// take reads a file, at the end of its links.
func take(path string) (snapshot, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return snapshot{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return snapshot{}, fileError("read", path, err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return snapshot{}, fileError("read", path, err)
	}
	s := snapshot{path: path, content: content, mode: info.Mode().Perm(), uid: os.Geteuid(), gid: os.Getegid()}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		s.uid, s.gid = int(owner.Uid), int(owner.Gid)
	}
	s.label = labelOf(path)
	return s, nil
}

// selinuxLabel is where the kernel keeps a file's context.
const selinuxLabel = "security.selinux"

// labelOf returns none where there is no SELinux, and where it cannot be read.
func labelOf(path string) []byte {
	label := make([]byte, 256) // what the kernel's tools reckon with
	n, err := unix.Getxattr(path, selinuxLabel, label)
	if err != nil {
		return nil
	}
	return label[:n]
}

// before is a file as it is, also when there is none.
func before(path string) (snapshot, error) {
	s, err := take(path)
	if errors.Is(err, fs.ErrNotExist) {
		return snapshot{path: path, missing: true}, nil
	}
	return s, err
}

func (s snapshot) restore() error {
	if !s.missing {
		return s.put()
	}
	err := os.Remove(s.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTEMPTY) {
		return nil // a directory that others have begun to use stays
	}
	return err
}

// put writes the file by rename, so that no reader ever finds half of it.
func (s snapshot) put() error {
	temp, err := os.CreateTemp(filepath.Dir(s.path), ".ndock-*")
	if err != nil {
		return fileError("write", s.path, err)
	}
	err = errors.Join(s.fill(temp), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), s.path)
	}
	if err != nil {
		_ = os.Remove(temp.Name()) // the first error is the one to tell
		return fileError("write", s.path, err)
	}
	return nil
}

func (s snapshot) fill(file *os.File) error {
	if _, err := file.Write(s.content); err != nil {
		return err
	}
	if err := file.Chown(s.uid, s.gid); err != nil {
		return err
	}
	if err := file.Chmod(s.mode); err != nil {
		return err
	}
	if s.label != nil {
		if err := unix.Fsetxattr(int(file.Fd()), selinuxLabel, s.label, 0); err != nil {
			return fmt.Errorf("keep its SELinux context: %w", err)
		}
	}
	return file.Sync() // else a power cut may leave an empty file under the new name
}
