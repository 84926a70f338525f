package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"
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
		return unreached(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		fault := &Fault{Message: response.Status}
		_ = json.NewDecoder(response.Body).Decode(fault) // the status says enough where the body does not
		return fault
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// unreached says why the agent was not asked, without the address that its socket has none of.
func unreached(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	var timeout net.Error
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return &unasked{"ndock's agent does not run: start service ndock-agent; if it ends, its log says why", err}
	case errors.Is(err, fs.ErrPermission):
		return &unasked{"only root may ask ndock's agent", err}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &unasked{"ndock's agent has not answered in time: see its log", err}
	}
	return fmt.Errorf("ask ndock's agent: %w", err)
}

// unasked says why the agent has not answered.
type unasked struct {
	text string
	err  error
}

func (u *unasked) Error() string { return u.text }

// Unwrap returns the cause.
func (u *unasked) Unwrap() error { return u.err }
