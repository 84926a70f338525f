package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// undoLimit is what taking back may take after an interrupt.
const undoLimit = 5 * time.Minute

// A Change is what a step would change.
type Change struct{ Step, Text string }

// Plan returns what Setup would change, and reports what cannot be told.
func Plan(ctx context.Context, steps []Step, report Report) ([]Change, error) {
	var changes []Change
	for _, step := range steps {
		texts, err := step.Plan(ctx)
		var unchecked *Unchecked
		switch {
		case errors.As(err, &unchecked):
			report("%s: %s", step.Title(), unchecked)
		case err != nil:
			return nil, fmt.Errorf("%s: %w", step.Title(), err)
		}
		for _, text := range texts {
			changes = append(changes, Change{step.Title(), text})
		}
	}
	return changes, nil
}

// Edits returns what Setup would make of files that are not ndock's own.
func Edits(ctx context.Context, steps []Step) ([]Edit, error) {
	var all []Edit
	for _, step := range steps {
		editor, ok := step.(Editor)
		if !ok {
			continue
		}
		edits, err := editor.Edits(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.Title(), err)
		}
		all = append(all, edits...)
	}
	return all, nil
}

// Setup does what is to do, and returns whether there was anything. Nothing is begun before every step knows what
// it has to do; when one fails, those before it are undone.
func Setup(ctx context.Context, steps []Step, report Report) (changed bool, err error) {
	if _, err := Plan(ctx, steps, func(string, ...any) {}); err != nil {
		return false, err
	}
	var done []Step
	for _, step := range steps {
		did, err := do(ctx, step, report)
		if did {
			done = append(done, step)
		}
		if err != nil {
			return false, takeBack(ctx, done, fmt.Errorf("%s: %w", step.Title(), err), report)
		}
	}
	return len(done) > 0, nil
}

// do brings one step about, and returns whether it began to change something.
func do(ctx context.Context, step Step, report Report) (bool, error) {
	plan, err := step.Plan(ctx)
	var unchecked *Unchecked
	switch {
	case errors.As(err, &unchecked):
		report("%s: %s", step.Title(), unchecked)
		return false, nil
	case err != nil:
		return false, err
	case len(plan) == 0:
		report("%s: %s", step.Title(), step.Detail(ctx))
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

// takeBack undoes what one run did, as far as it can, and adds what it could not to the error that ended the run.
func takeBack(ctx context.Context, done []Step, cause error, report Report) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	for _, undo := range undoing(done) {
		texts, err := undo.run(ctx)
		for _, text := range texts {
			report("undo: %s: %s", undo.title, text)
		}
		if err != nil {
			cause = fmt.Errorf("%w; and undoing %s failed: %w", cause, undo.title, err)
		}
	}
	return cause
}

// Teardown undoes all that setup ever made, and stops at what cannot be undone, because the rest stands on it.
func Teardown(ctx context.Context, steps []Step, report Report) (changed bool, err error) {
	for _, undo := range undoing(steps) {
		texts, err := undo.run(ctx)
		for _, text := range texts {
			changed = true
			report("%s: %s", undo.title, text)
		}
		if err != nil {
			return changed, fmt.Errorf("%s: %w", undo.title, err)
		}
	}
	return changed, nil
}

type undo struct {
	title string
	run   func(context.Context) ([]string, error)
}

// undoing is the way back: the steps in reverse order, then what is left to settle.
func undoing(steps []Step) []undo {
	var undos, settles []undo
	for _, step := range slices.Backward(steps) {
		undos = append(undos, undo{step.Title(), step.Undo})
		if settler, ok := step.(Settler); ok {
			settles = append(settles, undo{step.Title(), settler.Settle})
		}
	}
	return append(undos, settles...)
}
