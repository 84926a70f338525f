package system

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// advised is an error with a hint.
type advised struct {
	error
	hint string
}

func (a *advised) Unwrap() error { return a.error }

// Hint returns what to do about it.
func (a *advised) Hint() string { return a.hint }

// Advise adds a hint to an error: what its reader can do.
func Advise(err error, hint string, args ...any) error {
	return &advised{err, fmt.Sprintf(hint, args...)}
}

// FileError names the file that the operator knows, where the system names a temporary one or none at all, and adds a hint
// where the cause is known.
func FileError(verb, path string, err error) error {
	var inner *fs.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	err = fmt.Errorf("%s %s: %w", verb, path, err)
	switch {
	case errors.Is(err, syscall.EROFS):
		return Advise(err, "mount that file system for writing, then run this again")
	case errors.Is(err, syscall.ENOSPC):
		return Advise(err, "make room on that file system, then run this again")
	case errors.Is(err, fs.ErrPermission):
		return Advise(err, "run this as root")
	}
	return err
}

// NeedRoot returns an error for a user who is not root.
func NeedRoot(uid int, what string) error {
	if uid == 0 {
		return nil
	}
	return Advise(fmt.Errorf("%s changes this machine and must be run as root", what), "use sudo")
}
