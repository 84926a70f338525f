package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ndock/openstack/node/system"
)

// undoLimit is how long the rollback of one step may take, whether the run was interrupted or not.
const undoLimit = 5 * time.Minute

// Setup runs the steps that have something to do, and returns whether there were any. It begins nothing before every step
// has a plan. When one fails, it rolls back what this run did, that step's part included.
func Setup(ctx context.Context, steps []Step, report Report) (changed bool, err error) {
	if _, err := Plan(ctx, steps, func(string, ...any) {}); err != nil {
		return false, err
	}
	var done []Step
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return false, rollback(ctx, done, fmt.Errorf("%s: %w", step.Title(), err), report)
		}
		did, err := runStep(ctx, step, report)
		if did {
			done = append(done, step)
		}
		if err != nil {
			return false, rollback(ctx, done, fmt.Errorf("%s: %w", step.Title(), err), report)
		}
	}
	return len(done) > 0, nil
}

// runStep runs one step, and returns whether that began to change something.
func runStep(ctx context.Context, step Step, report Report) (bool, error) {
	plan, err := step.Plan(ctx)
	var unchecked *Unchecked
	switch {
	case errors.As(err, &unchecked):
		report("%s: %s", step.Title(), unchecked)
		return false, nil
	case err != nil:
		return false, err
	case len(plan) == 0:
		text, err := detail(ctx, step)
		if err != nil {
			text = err.Error() // and nothing is to do, all the same
		}
		report("%s: %s", step.Title(), text)
		return false, nil
	}
	for _, text := range plan {
		report("%s: %s", step.Title(), text)
	}
	err = step.Do(ctx)
	if errors.As(err, &unchecked) {
		report("%s: %s", step.Title(), unchecked)
		return true, nil
	}
	return true, err
}

// rollback undoes what one run did, as far as it can, and returns the error that ended the run, with what could not be
// undone.
func rollback(ctx context.Context, done []Step, cause error, report Report) error {
	hint, failed := hintOf(cause), false
	for _, undo := range undos(done, Step.Rollback) {
		texts, err := undo.within(context.WithoutCancel(ctx), undoLimit)
		how := "undo: %s: %s"
		if err != nil {
			cause, failed = fmt.Errorf("%w; and undoing %s failed: %w", cause, undo.title, err), true
			how = "undo: %s: failed, and is left to do by hand: %s"
			texts = append(texts, err.Error())[:max(1, len(texts))]
		}
		for _, text := range texts {
			report(how, undo.title, text)
		}
	}
	if !failed {
		return cause
	}
	return system.Advise(cause, "%s", hint+"do by hand what is said to be left, or see to what kept it from being done and run 'ndock node teardown', which tries it again")
}

// hintOf returns an error's hint, to be continued.
func hintOf(err error) string {
	var knows interface{ Hint() string }
	if errors.As(err, &knows) {
		return knows.Hint() + "; "
	}
	return ""
}
