package agent

import (
	"context"
	"fmt"
	"time"
)

// Status describes the host and its agent: the disk, whether servers' root disks are limited, what servers go without, and
// what failed last.
func (c *Client) Status(ctx context.Context) (string, error) {
	host, err := c.Host(ctx)
	if err != nil {
		return "", err
	}
	version, err := c.Version(ctx)
	if err != nil {
		return "", err
	}
	return describe(host, version.LastFailure), nil
}

func describe(host Host, failure *Failure) string {
	limits := "are not limited:"
	if host.RootDisks.Limited {
		limits = "are limited by"
	}
	text := fmt.Sprintf("%d of %d GB of disk are used; root disks %s %s", host.DiskUsedGB, host.DiskGB, limits, host.RootDisks.Reason)
	for _, lack := range host.Lacks {
		text += "; warning: " + lack
	}
	if failure != nil {
		text += fmt.Sprintf("; what failed last, at %s: %s: %s", failure.At.Format(time.RFC3339), failure.Request, failure.Reason)
	}
	return text
}

// String describes the orphan, such as "the container X, of whose server nothing else is here".
func (o Orphan) String() string {
	switch o.Kind {
	case "port":
		return fmt.Sprintf("the veth pair %s of server %s", o.Name, o.Server)
	case "network":
		return fmt.Sprintf("the network of container %.12s, which Docker does not know", o.Name)
	case "image":
		return fmt.Sprintf("the image %.19s, which was made of server %s and which nothing uses", o.Name, o.Server)
	case "container":
		return fmt.Sprintf("the container %s, of whose server nothing else is here", o.Name)
	}
	return fmt.Sprintf("server %s, whose container is gone since %s or was never made", o.Name, o.Since.Format("2006-01-02 15:04"))
}
