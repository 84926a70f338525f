// Package serial speaks with Nova's proxy of serial consoles: a websocket, in whose messages the bytes of a terminal are.
package serial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"

	"ndock/docker/transfer"
	"ndock/openstack/transport"
)

const (
	maxMessage   = 1 << 20 // bytes; Nova's proxy sends at most 64 KiB at a time
	maxHeader    = 64 << 10
	dialTimeout  = 30 * time.Second
	writeTimeout = 30 * time.Second
	pingInterval = 30 * time.Second
)

// Dialer connects to consoles, by the proxies of the environment.
type Dialer struct {
	client http.Client
	agent  string
}

// NewDialer returns one that connects as base does. The trace gets a line for each connection, without the token; nil for none.
func NewDialer(base *http.Transport, trace io.Writer, agent string) *Dialer {
	base = base.Clone()
	base.MaxResponseHeaderBytes = maxHeader
	base.ResponseHeaderTimeout = dialTimeout
	return &Dialer{agent: agent, client: http.Client{
		Transport: transport.Trace(base, trace),
		CheckRedirect: func(*http.Request, []*http.Request) error { // to whom the token is not for
			return http.ErrUseLastResponse
		},
	}}
}

// Dial connects to a console by the address that Nova gave, in which the token is a secret: no error has it.
func (d *Dialer) Dial(ctx context.Context, address string) (*Conn, error) {
	at, err := parse(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	ws, response, err := websocket.Dial(ctx, address, &websocket.DialOptions{
		HTTPClient: &d.client, HTTPHeader: http.Header{"User-Agent": {d.agent}}, Subprotocols: []string{"binary"},
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the console's proxy %s: %w", at.Host, reason(response, err))
	}
	ws.SetReadLimit(maxMessage)
	return &Conn{ws: ws, TLS: at.Scheme == "wss" || at.Scheme == "https"}, nil
}

func parse(address string) (*url.URL, error) {
	at, err := url.Parse(address)
	if err != nil || at.Host == "" || at.User != nil {
		return nil, errors.New("what Nova gave is no address of a console")
	}
	switch at.Scheme {
	case "ws", "wss", "http", "https":
		return at, nil
	}
	return nil, fmt.Errorf("the console's address begins with %.20q, and not with ws or wss", at.Scheme)
}

// reason leaves the address out of an error.
func reason(response *http.Response, err error) error {
	var failed *url.Error
	switch {
	case response != nil && response.StatusCode != http.StatusSwitchingProtocols:
		return fmt.Errorf("it answers %d %s instead of a console", response.StatusCode, http.StatusText(response.StatusCode))
	case response != nil:
		return errors.New("it does not speak websocket as it should")
	case errors.As(err, &failed) && failed.Timeout():
		return fmt.Errorf("it does not answer within %s", dialTimeout)
	case errors.As(err, &failed):
		return transfer.WithoutQueries(failed.Err)
	}
	return transfer.WithoutQueries(err)
}

// Conn is a connection to a console. One goroutine may read while another writes.
type Conn struct {
	TLS bool // it is encrypted, as far as the proxy

	ws      *websocket.Conn
	message io.Reader // that is being read; nil for none
}

// Read reads what the console sends; io.EOF where the proxy says that it ends.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		if c.message == nil {
			_, message, err := c.ws.Reader(context.Background()) // Close ends it
			if err != nil {
				return 0, ended(err)
			}
			c.message = message
		}
		n, err := c.message.Read(p)
		if errors.Is(err, io.EOF) {
			c.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, ended(err)
		}
	}
}

// ended says why there is no more, without words of the proxy's.
func ended(err error) error {
	var broken *net.OpError
	switch status := websocket.CloseStatus(err); {
	case err == nil:
		return nil
	case status == websocket.StatusNormalClosure, status == websocket.StatusGoingAway:
		return io.EOF
	case status >= 0:
		return fmt.Errorf("the proxy closed it with status %d", int(status))
	case errors.Is(err, websocket.ErrMessageTooBig):
		return fmt.Errorf("the proxy sent a message of more than %d bytes", maxMessage)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the proxy closed it")
	case errors.As(err, &broken):
		return broken.Err
	}
	return err
}

// Write types p at the console.
func (c *Conn) Write(p []byte) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageBinary, p); err != nil {
		return 0, ended(err)
	}
	return len(p), nil
}

// KeepAlive asks the proxy for a sign of life again and again, so that whatever is between does not take the connection for
// dead, and closes it when none comes. It returns when ctx ends, or the connection. Somebody must read meanwhile.
func (c *Conn) KeepAlive(ctx context.Context) { c.keepAlive(ctx, pingInterval) }

func (c *Conn) keepAlive(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		answered, cancel := context.WithTimeout(ctx, interval)
		err := c.ws.Ping(answered)
		cancel()
		if err != nil {
			_ = c.Close() // which is lost already
			return
		}
	}
}

// Close ends the connection, and who reads or writes. It does not wait for the proxy.
func (c *Conn) Close() error { return c.ws.CloseNow() }
