package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ndock/openstack/node/system"
)

// Teardown undoes what all runs of setup made, and returns whether there was anything. It stops at the first step that
// fails, because the others depend on it. It goes on where a step cannot be settled: a nova-compute whose old driver does
// not start is no fault of setup's.
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

// titles returns the name of each step once.
func titles(undos []undo) string {
	var names []string
	for _, undo := range undos {
		if !slices.Contains(names, undo.title) {
			names = append(names, undo.title)
		}
	}
	return strings.Join(names, ", ")
}

// An undo is one thing to do on the way back.
type undo struct {
	title   string
	run     func(context.Context) ([]string, error)
	settles bool // it is a Settler's
}

func (u undo) within(ctx context.Context, limit time.Duration) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return u.run(ctx)
}

// undos returns the way back: the steps in reverse order, each Settler as soon as it can be.
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
