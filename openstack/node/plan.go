package node

import (
	"context"
	"errors"
	"fmt"

	"ndock/openstack/node/system"
)

// A Change is what a step would change.
type Change struct{ Step, Text string }

// Plan returns what Setup would change, and reports which steps cannot be checked.
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

// Edits returns how Setup would edit files that are not ndock's own.
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
