// Package rollback runs steps that clean up or undo, all of them, whichever fail, and reports what is left to do by hand.
package rollback

import (
	"context"
	"fmt"
	"time"

	"ndock/registry"
)

// StepLimit is how long one step may take.
const StepLimit = time.Minute

// A Step undoes one thing, or removes it.
type Step struct {
	Title  string // names it in reports
	Do     func(context.Context) error
	ByHand string // what a person does when it fails
}

// Run runs all steps, each for no longer than the limit. It reports what a person has to do for those that fail, in lines
// that begin with the kind of clean-up, and goes on. It stops early only when the context ends.
func Run(ctx context.Context, report registry.Reporter, kind string, limit time.Duration, steps []Step) (failed []error) {
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return append(failed, err)
		}
		if err := Within(ctx, limit, step.Do); err != nil {
			report.Step("%s: %s: failed, and is left to do by hand: %s", kind, step.Title, step.ByHand)
			failed = append(failed, fmt.Errorf("%s: %w", step.Title, err))
		}
	}
	return failed
}

// Within calls a function with a context that ends after the limit.
func Within(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return do(ctx)
}

// Join makes one error of several, in one line; nil of none.
func Join(all []error) error {
	var one error
	for _, err := range all {
		if one == nil {
			one = err
		} else {
			one = fmt.Errorf("%w; %w", one, err)
		}
	}
	return one
}

// Undo runs the steps, though the context may have ended, and returns the cause with what could not be undone.
func Undo(ctx context.Context, report registry.Reporter, limit time.Duration, cause error, steps []Step) error {
	return WithFailed(cause, Run(context.WithoutCancel(ctx), report, "undo", limit, steps))
}

// WithFailed returns the cause with what could not be undone.
func WithFailed(cause error, failed []error) error {
	if len(failed) == 0 {
		return cause
	}
	hint := registry.HintOf(cause)
	if hint != "" {
		hint += "; "
	}
	for _, err := range failed {
		cause = fmt.Errorf("%w; and undoing %w", cause, err)
	}
	return &registry.Error{Err: cause, Help: hint + "do by hand what is said to be left, or see to what kept it from being done and run the command again"}
}
