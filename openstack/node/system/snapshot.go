package system

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Snapshot is a file as it was, or is to be.
type Snapshot struct {
	Path     string
	Missing  bool // there was none
	Content  []byte
	Mode     fs.FileMode
	UID, GID int
	Label    []byte // of SELinux, where it has one
}

// takeLimit is the largest file that is read in a directory of others than root: programs are the largest.
const takeLimit = 512 << 20

// TakeSnapshot reads a file and follows links. fs.ErrNotExist is the error where there is none.
func TakeSnapshot(path string) (Snapshot, error) {
	p, err := openParent(path)
	if err != nil {
		return Snapshot{}, readError(path, err)
	}
	defer p.close()
	file, status, err := p.file()
	if err != nil {
		return Snapshot{}, readError(path, err)
	}
	defer file.Close()
	content, err := p.readAll(file, takeLimit)
	if err != nil {
		return Snapshot{}, FileError("read", path, err)
	}
	return Snapshot{
		Path: p.path, Content: content, Mode: fs.FileMode(status.Mode).Perm(), UID: int(status.Uid), GID: int(status.Gid), Label: labelOf(file),
	}, nil
}

// readError leaves fs.ErrNotExist to the caller.
func readError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return FileError("read", path, err)
}

// selinuxLabel is where the kernel keeps a file's context.
const selinuxLabel = "security.selinux"

// labelOf returns none where there is no SELinux, and where it cannot be read.
func labelOf(file *os.File) []byte {
	label := make([]byte, 256) // as the kernel's tools assume
	n, err := unix.Fgetxattr(int(file.Fd()), selinuxLabel, label)
	if err != nil {
		return nil
	}
	return label[:n]
}

// Inspect reads a file, and returns a missing one where there is none.
func Inspect(path string) (Snapshot, error) {
	s, err := TakeSnapshot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Snapshot{Path: path, Missing: true}, nil
	}
	return s, err
}

// Restore writes the file, or removes it where it was missing. A directory that others have begun to use stays.
func (s Snapshot) Restore() error {
	if !s.Missing {
		return s.Write()
	}
	err := RemoveFile(s.Path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTEMPTY) {
		return nil
	}
	if err != nil {
		return FileError("remove", s.Path, err)
	}
	return nil
}

// Write writes the file, by rename: no reader finds half of it.
func (s Snapshot) Write() error {
	p, err := openParent(s.Path)
	if err != nil {
		return FileError("write", s.Path, err)
	}
	defer p.close()
	if err := p.replace(s.fill); err != nil {
		return FileError("write", s.Path, err)
	}
	return nil
}

func (s Snapshot) fill(file *os.File) error {
	if _, err := file.Write(s.Content); err != nil {
		return err
	}
	if err := file.Chown(s.UID, s.GID); err != nil {
		return err
	}
	if err := file.Chmod(s.Mode); err != nil {
		return err
	}
	if s.Label != nil {
		if err := unix.Fsetxattr(int(file.Fd()), selinuxLabel, s.Label, 0); err != nil {
			return fmt.Errorf("keep its SELinux context: %w", err)
		}
	}
	return file.Sync() // else a power cut may leave an empty file under the new name
}
