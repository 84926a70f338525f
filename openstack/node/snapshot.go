package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
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

// takeLimit is the most that is kept of a file in a directory of others than root: programs are the largest.
const takeLimit = 512 << 20

// take reads a file, at the end of its links.
func take(path string) (snapshot, error) {
	p, err := openParent(path)
	if err != nil {
		return snapshot{}, readError(path, err)
	}
	defer p.close()
	file, status, err := p.file()
	if err != nil {
		return snapshot{}, readError(path, err)
	}
	defer file.Close()
	content, err := p.readAll(file, takeLimit)
	if err != nil {
		return snapshot{}, fileError("read", path, err)
	}
	return snapshot{
		path: p.path, content: content, mode: fs.FileMode(status.Mode).Perm(), uid: int(status.Uid), gid: int(status.Gid), label: labelOf(file),
	}, nil
}

// readError leaves a file that is not there to the caller.
func readError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fileError("read", path, err)
}

// selinuxLabel is where the kernel keeps a file's context.
const selinuxLabel = "security.selinux"

// labelOf returns none where there is no SELinux, and where it cannot be read.
func labelOf(file *os.File) []byte {
	label := make([]byte, 256) // what the kernel's tools reckon with
	n, err := unix.Fgetxattr(int(file.Fd()), selinuxLabel, label)
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
	err := removeFile(s.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTEMPTY) {
		return nil // a directory that others have begun to use stays
	}
	if err != nil {
		return fileError("remove", s.path, err)
	}
	return nil
}

// put writes the file.
func (s snapshot) put() error {
	p, err := openParent(s.path)
	if err != nil {
		return fileError("write", s.path, err)
	}
	defer p.close()
	if err := p.replace(s.fill); err != nil {
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
