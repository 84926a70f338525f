package commands

import (
	"context"
	"time"

	"ndock/docker/agent"
)

// orphans asks the agent of this machine for what no server has any more.
type orphans struct {
	socket string
	limit  time.Duration // of a removal
}

// Orphans says what there is.
func (o orphans) Orphans(ctx context.Context) (sure, unsure []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	all, err := agent.NewClient(o.socket).Orphans(ctx)
	for _, orphan := range all {
		if orphan.Sure {
			sure = append(sure, orphan.String())
		} else {
			unsure = append(unsure, orphan.String())
		}
	}
	return sure, unsure, err
}

// Remove has the agent remove what is sure.
func (o orphans) Remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	_, err := agent.NewClient(o.socket).RemoveOrphans(ctx)
	return err
}
