package steps

import (
	"context"
	"strings"

	"ndock/openstack/node"
)

// orphans is the step that removes what no server uses any more, as the agent does from time to time.
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

// Do does not fail: the agent tries again later, and the node works all the same.
func (o *orphans) Do(ctx context.Context) error {
	if err := o.Orphans.Remove(ctx); err != nil {
		return &node.Unchecked{Why: err.Error()}
	}
	return nil
}

// Rollback and Teardown have nothing to do.
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
