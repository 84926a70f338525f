package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
)

// Client calls the agent of this host. Its methods return a *Fault for what the agent refuses.
type Client struct{ http http.Client }

// NewClient returns a client of the agent that listens on the socket at path.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Version returns the agent's version and Docker's.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var version Version
	return version, c.get(ctx, "/v1/version", &version)
}

// Host returns what this machine can give to servers.
func (c *Client) Host(ctx context.Context) (Host, error) {
	var host Host
	return host, c.get(ctx, "/v1/host", &host)
}

// Instances returns the servers that have a container on this host.
func (c *Client) Instances(ctx context.Context) ([]Instance, error) {
	var instances []Instance
	return instances, c.get(ctx, "/v1/instances", &instances)
}

// Orphans returns what no server has any more.
func (c *Client) Orphans(ctx context.Context) ([]Orphan, error) {
	var orphans []Orphan
	return orphans, c.get(ctx, "/v1/orphans", &orphans)
}

// RemoveOrphans removes what is sure to be an orphan, and returns it.
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
