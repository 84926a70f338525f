package registry

import (
	"context"
	"fmt"
	"time"
)

// A cleanupStep is one of several that are all tried, whichever of them fail.
type cleanupStep struct {
	title  string
	do     func(context.Context) error
	byHand string // what a person does instead
}

// cleanUp runs all of the steps, each for no longer than the limit, and reports what a person has to do for those
// that fail. The lines begin with the kind of clean-up. Only an ended context keeps it from going on.
func cleanUp(ctx context.Context, report Reporter, kind string, limit time.Duration, steps []cleanupStep) (failed []error) {
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return append(failed, err)
		}
		if err := within(ctx, limit, step.do); err != nil {
			report.Step("%s: %s: failed, and is left to do by hand: %s", kind, step.title, step.byHand)
			failed = append(failed, fmt.Errorf("%s: %w", step.title, err))
		}
	}
	return failed
}

func within(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return do(ctx)
}

// inOne is several errors in one line.
func inOne(all []error) error {
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

// rollBack takes back what was done before the cause, though the context may have ended, and returns the cause with
// what could not be taken back.
func rollBack(ctx context.Context, report Reporter, limit time.Duration, cause error, steps []cleanupStep) error {
	return withFailed(cause, cleanUp(context.WithoutCancel(ctx), report, "undo", limit, steps))
}

// withFailed is the cause with what could not be taken back.
func withFailed(cause error, failed []error) error {
	if len(failed) == 0 {
		return cause
	}
	hint := hintOf(cause)
	if hint != "" {
		hint += "; "
	}
	for _, err := range failed {
		cause = fmt.Errorf("%w; and undoing %w", cause, err)
	}
	return &Error{Err: cause, hint: hint + "do by hand what is said to be left, or see to what kept it from being done and run the command again"}
}

// stepLimit is the time that one step may take that Ctrl-C does not end, beyond the time that the registry's end takes.
const stepLimit = time.Minute
