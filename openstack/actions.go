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

// failed tells whether what was asked for by a request went wrong on the compute node.
func (c *Cloud) failed(ctx context.Context, serverID, requestID string) bool {
	client, err := c.nova()
	if err != nil || requestID == "" {
		return false
	}
	action, err := instanceactions.Get(ctx, client, serverID, requestID).Extract()
	return err == nil && action.Message == "Error"
}
