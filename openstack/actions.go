package openstack

import (
	"context"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/instanceactions"
)

// lastRequest is the request id of what was done with the server last; empty when Nova does not tell.
func (c *Cloud) lastRequest(ctx context.Context, serverID string) string {
	client, err := c.nova()
	if err != nil {
		return ""
	}
	pages, err := instanceactions.List(client, serverID, nil).AllPages(ctx)
	if err != nil {
		return ""
	}
	actions, err := instanceactions.ExtractInstanceActions(pages)
	if err != nil || len(actions) == 0 {
		return ""
	}
	return actions[0].RequestID // newest first
}

// progress is how far Nova is with a request.
type progress int

const (
	running  progress = iota // or not known
	finished                 // whatever came of it
	failed
)

// progress tells how far Nova is with what was asked for by a request.
func (c *Cloud) progress(ctx context.Context, serverID, requestID string) progress {
	client, err := c.nova()
	if err != nil || requestID == "" {
		return running
	}
	action, err := instanceactions.Get(ctx, client, serverID, requestID).Extract()
	switch {
	case err != nil:
		return running
	case action.Message == "Error":
		return failed
	case action.Events == nil || len(*action.Events) == 0:
		return running
	}
	for _, event := range *action.Events {
		if event.FinishTime.IsZero() {
			return running
		}
	}
	return finished
}
