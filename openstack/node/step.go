// Package node turns this machine into a compute node of Docker, and back, by a list of steps. Each can say what it would
// change, change it, tell whether it is in place, and undo it. Files of the operator are edited, never owned; a second run
// changes nothing; a run that fails leaves the machine as it found it.
package node

import (
	"context"

	"ndock/openstack/node/system"
)

// A Step is one thing that a Docker compute node needs.
type Step interface {
	// Title is its name in output and in errors.
	Title() string
	// Plan says what Do would change, a sentence a change; nothing when all is in place. An Unchecked error says
	// that it cannot be told here, which stops nobody.
	Plan(ctx context.Context) ([]string, error)
	// Do makes the changes.
	Do(ctx context.Context) error
	// Rollback takes back what Do changed in this run, also where Do broke off, and nothing else. It returns what it
	// did, a sentence each.
	Rollback(ctx context.Context) ([]string, error)
	// Teardown removes what earlier runs of setup made, and returns what it did, a sentence each.
	Teardown(ctx context.Context) ([]string, error)
	// Detail says what is there once nothing is to do.
	Detail(ctx context.Context) string
}

// An Editor is a step that edits files which are not ndock's own.
type Editor interface {
	// Edits are what Do would make of them; nothing when all is in place.
	Edits(ctx context.Context) ([]system.Edit, error)
}

// A Settler has something left to do once others are undone: nova-compute cannot start with its old driver before that is
// back.
type Settler interface {
	Settle(ctx context.Context) ([]string, error)
	// After are those others. What was done before them is undone after it.
	After() []Step
}

// Report takes a line for the one who waits.
type Report func(format string, args ...any)

// Unchecked says why a step's state cannot be told.
type Unchecked struct{ Why string }

func (u *Unchecked) Error() string { return "could not be checked: " + u.Why }
