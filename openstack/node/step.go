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
	// Title returns its name in output and in errors.
	Title() string
	// Plan returns what Do would change, a sentence each; nothing when all is in place. An Unchecked error says that
	// this cannot be told here: setup goes on without the step.
	Plan(ctx context.Context) ([]string, error)
	// Do makes the changes.
	Do(ctx context.Context) error
	// Rollback takes back what Do changed in this run, also where Do broke off, and nothing else. It returns what it
	// did, a sentence each.
	Rollback(ctx context.Context) ([]string, error)
	// Teardown removes what earlier runs of setup made, and returns what it did, a sentence each.
	Teardown(ctx context.Context) ([]string, error)
	// Detail returns a phrase on what is there, once nothing is to do. With an error the step's state cannot be told.
	Detail(ctx context.Context) (string, error)
}

// An Editor is a step that edits files that are not ndock's own.
type Editor interface {
	// Edits returns what Do would make of them; nothing when all is in place.
	Edits(ctx context.Context) ([]system.Edit, error)
}

// A Settler is a step with something left to do once others are undone: nova-compute cannot start with its old driver
// before that is back.
type Settler interface {
	// Settle does that, and returns what it did, a sentence each.
	Settle(ctx context.Context) ([]string, error)
	// After returns the steps that have to be undone first. Steps before these are undone after Settle.
	After() []Step
}

// Report prints a line of progress.
type Report func(format string, args ...any)

// Unchecked is the error where a step's state cannot be told.
type Unchecked struct{ Why string }

func (u *Unchecked) Error() string { return "could not be checked: " + u.Why }
