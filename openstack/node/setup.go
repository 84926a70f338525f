package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ndock/openstack/node/system"
)

// undoLimit is how long the rollback of one step may take, whether the run was interrupted or not.
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
func Edits(ctx context.Context, steps []Step) ([]system.Edit, error) {
	var all []system.Edit
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

// do brings one step about, and returns whether it began to change something.
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

// rollback undoes what one run did, as far as it can, and adds what it could not undo to the error that ended the run.
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

// hintOf is what an error says to do, as the beginning of more.
func hintOf(err error) string {
	var knows interface{ Hint() string }
	if errors.As(err, &knows) {
		return knows.Hint() + "; "
	}
	return ""
}

// Teardown undoes all that setup ever made, and stops at what cannot be undone, because the rest stands on it. What cannot
// be settled keeps nothing from being undone: a nova-compute whose old driver does not start is none of setup's.
func Teardown(ctx context.Context, steps []Step, report Report) (changed bool, err error) {
	undos := undos(steps, Step.Teardown)
	var unsettled error
	for i, undo := range undos {
		err := ctx.Err()
		var texts []string
		if err == nil {
			texts, err = undo.run(ctx)
		}
		for _, text := range texts {
			changed = true
			report("%s: %s", undo.title, text)
		}
		if err != nil && undo.settles && ctx.Err() == nil {
			err, unsettled = nil, cmp.Or(unsettled, system.Advise(fmt.Errorf("%s: %w", undo.title, err), "%sall else is undone", hintOf(err)))
		}
		if err != nil {
			return changed, system.Advise(fmt.Errorf("%s: %w", undo.title, err), "%snot undone: %s; run 'ndock node teardown' again when that is mended", hintOf(err), titles(undos[i:]))
		}
	}
	return changed, unsettled
}

// titles names each step once.
func titles(undos []undo) string {
	var names []string
	for _, undo := range undos {
		if !slices.Contains(names, undo.title) {
			names = append(names, undo.title)
		}
	}
	return strings.Join(names, ", ")
}

type undo struct {
	title   string
	run     func(context.Context) ([]string, error)
	settles bool
}

func (u undo) within(ctx context.Context, limit time.Duration) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return u.run(ctx)
}

// undoing returns the way back: the steps in reverse order, and what is left to settle as soon as it can be.
func undos(steps []Step, way func(Step, context.Context) ([]string, error)) []undo {
	var undos []undo
	settled := map[Step]bool{}
	for i, step := range slices.Backward(steps) {
		undos = append(undos, undo{step.Title(), func(ctx context.Context) ([]string, error) { return way(step, ctx) }, false})
		for _, one := range steps[i:] {
			settler, ok := one.(Settler)
			if ok && !settled[one] && !slices.ContainsFunc(steps[:i], func(left Step) bool { return slices.Contains(settler.After(), left) }) {
				undos, settled[one] = append(undos, undo{one.Title(), settler.Settle, true}), true
			}
		}
	}
	return undos
}
