package steps

import (
	"context"
	"strings"

	"ndock/openstack/node"
)

// orphans is the step that removes what no server has any more. The agent does so itself from time to time.
type orphans struct{ Machine }

func (o *orphans) Title() string { return "orphans" }

func (o *orphans) Plan(ctx context.Context) ([]string, error) {
	sure, _, err := o.Orphans.Orphans(ctx)
	if err != nil {
		return nil, &node.Unchecked{Why: err.Error()}
	}
	for i, orphan := range sure {
		sure[i] = "remove " + orphan
	}
	return sure, nil
}

// Do does not fail: what the agent cannot remove now, it tries again, and a node is none the worse for it.
func (o *orphans) Do(ctx context.Context) error {
	if err := o.Orphans.Remove(ctx); err != nil {
		return &node.Unchecked{Why: err.Error()}
	}
	return nil
}

// Rollback and Teardown have nothing to do: what is gone was nobody's.
func (o *orphans) Rollback(context.Context) ([]string, error) { return nil, nil }
func (o *orphans) Teardown(context.Context) ([]string, error) { return nil, nil }

func (o *orphans) Detail(ctx context.Context) string {
	switch _, unsure, err := o.Orphans.Orphans(ctx); {
	case err != nil:
		return err.Error()
	case len(unsure) > 0:
		return "left alone, as they may be of use: " + strings.Join(unsure, ", ")
	}
	return "none"
}
