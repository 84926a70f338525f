package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
)

// Client speaks to the agent of this host.
type Client struct{ http http.Client }

// NewClient is for the agent that listens on the socket at path.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Version asks the agent for its version and Docker's.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var version Version
	return version, c.get(ctx, "/v1/version", &version)
}

// Host asks what this machine can give to servers.
func (c *Client) Host(ctx context.Context) (Host, error) {
	var host Host
	return host, c.get(ctx, "/v1/host", &host)
}

// Instances asks for all servers' containers on this host.
func (c *Client) Instances(ctx context.Context) ([]Instance, error) {
	var instances []Instance
	return instances, c.get(ctx, "/v1/instances", &instances)
}

// Orphans asks for what no server has any more.
func (c *Client) Orphans(ctx context.Context) ([]Orphan, error) {
	var orphans []Orphan
	return orphans, c.get(ctx, "/v1/orphans", &orphans)
}

// RemoveOrphans has those removed that are sure to be some, and returns them.
func (c *Client) RemoveOrphans(ctx context.Context) ([]Orphan, error) {
	var removed []Orphan
	return removed, c.do(ctx, http.MethodDelete, "/v1/orphans", &removed)
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	return c.do(ctx, http.MethodGet, path, into)
}

func (c *Client) do(ctx context.Context, method, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, nil)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("ask ndock's agent: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		fault := &Fault{Message: response.Status}
		_ = json.NewDecoder(response.Body).Decode(fault) // the status says enough where the body does not
		return fault
	}
	return json.NewDecoder(response.Body).Decode(into)
}
