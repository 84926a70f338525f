package registry

import (
	"errors"
	"fmt"
	"io/fs"
)

// Error is something that could not be done.
type Error struct {
	Op   string // empty where the caller says it
	Err  error
	hint string
}

func (e *Error) Error() string {
	if e.Op == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s: %v", e.Op, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint is what may help.
func (e *Error) Hint() string { return e.hint }

func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// asRoot says what was tried, and that root may do it where the system refused.
func asRoot(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return &Error{Op: op, Err: err, hint: "run it as root"}
	}
	return fmt.Errorf("%s: %w", op, err)
}
