package commands

import (
	"context"
	"fmt"
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
			sure = append(sure, describeOrphan(orphan))
		} else {
			unsure = append(unsure, describeOrphan(orphan))
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

func describeOrphan(orphan agent.Orphan) string {
	switch orphan.Kind {
	case "port":
		return fmt.Sprintf("the cable %s of server %s", orphan.Name, orphan.Server)
	case "network":
		return fmt.Sprintf("the network of container %.12s, which Docker does not know", orphan.Name)
	case "image":
		return fmt.Sprintf("the image %.19s, which was made of server %s and which nothing uses", orphan.Name, orphan.Server)
	case "container":
		return fmt.Sprintf("the container %s, of whose server nothing else is here", orphan.Name)
	}
	return fmt.Sprintf("server %s, whose container is gone since %s or was never made", orphan.Name, orphan.Since.Format("2006-01-02 15:04"))
}
