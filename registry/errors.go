package registry

import (
	"fmt"

	"github.com/docker/docker/client"
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

// explain says what was tried when the engine refused, and what may help when there is no engine.
func explain(op string, err error) error {
	if err == nil {
		return nil
	}
	if client.IsErrConnectionFailed(err) {
		return &Error{Op: op, Err: err, hint: "start Docker, or let DOCKER_HOST name an engine ('docker context' is not read)"}
	}
	return &Error{Op: op, Err: err}
}
