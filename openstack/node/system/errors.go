package system

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// advised is an error that knows what its reader could do.
type advised struct {
	error
	hint string
}

func (a *advised) Unwrap() error { return a.error }

// Hint says what to do.
func (a *advised) Hint() string { return a.hint }

func Advise(err error, hint string, args ...any) error {
	return &advised{err, fmt.Sprintf(hint, args...)}
}

// fileError names the file that the operator knows, where the system names a temporary one or none at all.
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

// NeedRoot refuses a user who could change nothing.
func NeedRoot(uid int, what string) error {
	if uid == 0 {
		return nil
	}
	return Advise(fmt.Errorf("%s changes this machine and must be run as root", what), "use sudo")
}
