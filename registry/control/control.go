// Package control is how a running registry is asked to collect its garbage: by HTTP on a Unix socket, which answers with a
// line of JSON for each step. The server's side is in package serve.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"ndock/registry"
	"ndock/registry/gc"
)

// Options are those of a collection of garbage.
type Options struct {
	gc.Options
	Wait time.Duration `json:"wait"` // how long to wait for pushes under way
}

// Check returns what is wrong with the options.
func (o Options) Check() error {
	switch {
	case o.Grace < 0:
		return fmt.Errorf("--grace %s is less than nothing", o.Grace)
	case o.Wait < 0:
		return fmt.Errorf("--wait %s is less than nothing", o.Wait)
	}
	return nil
}

// Event is one line of the answer. The last one has Freed, or Error.
type Event struct {
	Step  string     `json:"step,omitempty"`
	Freed *gc.Result `json:"freed,omitempty"`
	Error string     `json:"error,omitempty"`
	Hint  string     `json:"hint,omitempty"`
}

// CollectPath is the path of the request on the control socket.
const CollectPath = "/v1/gc"

// Collect has a running registry collect its garbage, through a connection to its control socket. It ends when the context
// does; what was freed until then stays freed.
func Collect(ctx context.Context, dial func(context.Context) (net.Conn, error), o Options) (gc.Result, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return gc.Result{}, err
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableKeepAlives: true,
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://registry"+CollectPath, bytes.NewReader(body))
	if err != nil {
		return gc.Result{}, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return gc.Result{}, fmt.Errorf("ask the registry to collect garbage: %w", innermost(err))
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return gc.Result{}, fmt.Errorf("ask the registry to collect garbage: it answered %s", answer.Status)
	}
	return follow(answer.Body, o.Report)
}

// innermost takes off what net/http says about a URL that is none of the user's.
func innermost(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// follow reads the events until the last one.
func follow(from io.Reader, report gc.Reporter) (gc.Result, error) {
	for lines := json.NewDecoder(from); ; {
		var line Event
		if err := lines.Decode(&line); err != nil {
			return gc.Result{}, fmt.Errorf("collect garbage: the registry broke off: %w", err)
		}
		switch {
		case line.Error != "":
			return freed(line), &registry.Error{Op: "collect garbage", Err: errors.New(line.Error), Help: line.Hint}
		case line.Freed != nil:
			return freed(line), nil
		case line.Step != "":
			report.Step("%s", line.Step)
		}
	}
}

func freed(line Event) gc.Result {
	if line.Freed == nil {
		return gc.Result{}
	}
	return *line.Freed
}

// Dial connects to the control socket of a registry in the foreground.
func Dial(path string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
			return nil, &registry.Error{Op: fmt.Sprintf("connect to %q", path), Err: ErrNotListening, Help: "start it with 'ndock registry serve --control'"}
		case errors.Is(err, fs.ErrPermission):
			return nil, &registry.Error{Op: fmt.Sprintf("connect to %q", path), Err: err, Help: "run it as root, or as the user who serves"}
		}
		return conn, err
	}
}

// Relay copies between a control socket and the streams, until either side ends.
func Relay(ctx context.Context, socket string, in io.Reader, out io.Writer) error {
	conn, err := Dial(socket)(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	ended := make(chan error, 2)
	go func() { _, err := io.Copy(conn, in); ended <- err }()
	go func() { _, err := io.Copy(out, conn); ended <- err }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ErrNotListening is returned where there is no socket, or nobody listens on it.
var ErrNotListening = errors.New("no registry listens there")
