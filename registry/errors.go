package registry

import (
	"errors"
	"fmt"
	"io/fs"
)

// Error is a failed operation with a hint for the user.
type Error struct {
	Op   string // what was tried, on what; empty where the caller says it
	Err  error  // why it failed
	Help string // the hint; may be empty
}

func (e *Error) Error() string {
	if e.Op == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s: %v", e.Op, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint returns what may help.
func (e *Error) Hint() string { return e.Help }

// HintOf returns the hint of an error; empty for none.
func HintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// AsRoot says what was tried. Where permission was denied, the error hints to run the command as root.
func AsRoot(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return &Error{Op: op, Err: err, Help: "run it as root"}
	}
	return fmt.Errorf("%s: %w", op, err)
}
