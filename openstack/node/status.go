package node

import (
	"context"
	"errors"
	"strings"
)

// State is how far a step is in place.
type State string

// The states of a step.
const (
	Done    State = "done"
	ToDo    State = "to do"
	Failed  State = "error"
	Unknown State = "unknown" // cannot be told from here
)

// Status is a step's state, with what is to do or what is there.
type Status struct {
	Step   string
	State  State
	Detail string
}

// Inspect returns the state of every step and changes nothing.
func Inspect(ctx context.Context, steps []Step) []Status {
	all := make([]Status, len(steps))
	for i, step := range steps {
		all[i] = inspect(ctx, step)
	}
	return all
}

func inspect(ctx context.Context, step Step) Status {
	plan, err := step.Plan(ctx)
	var unchecked *Unchecked
	switch {
	case errors.As(err, &unchecked):
		return Status{step.Title(), Unknown, unchecked.Error()}
	case err != nil:
		return Status{step.Title(), Failed, err.Error()}
	case len(plan) > 0:
		return Status{step.Title(), ToDo, strings.Join(plan, "; ")}
	}
	detail, err := detail(ctx, step)
	if err != nil {
		return Status{step.Title(), Unknown, err.Error()}
	}
	return Status{step.Title(), Done, detail}
}

// detail returns what is there, or an Unchecked error.
func detail(ctx context.Context, step Step) (string, error) {
	text, err := step.Detail(ctx)
	var unchecked *Unchecked
	if err != nil && !errors.As(err, &unchecked) {
		err = &Unchecked{Why: err.Error()}
	}
	return text, err
}
