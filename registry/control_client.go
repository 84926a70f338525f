package registry

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

	"ndock/registry/gc"
)

// CollectOptions are what a collection of garbage can be told.
type CollectOptions struct {
	gc.Options
	Wait time.Duration `json:"wait"` // for pushes under way
}

// Check tells what is wrong with the options as such.
func (o CollectOptions) Check() error {
	switch {
	case o.Grace < 0:
		return fmt.Errorf("--grace %s is less than nothing", o.Grace)
	case o.Wait < 0:
		return fmt.Errorf("--wait %s is less than nothing", o.Wait)
	}
	return nil
}

// news is a line of what a registry answers while it collects. The last one has Freed.
type news struct {
	Step  string     `json:"step,omitempty"`
	Freed *gc.Result `json:"freed,omitempty"`
	Error string     `json:"error,omitempty"`
	Hint  string     `json:"hint,omitempty"`
}

// collectPath is where a control socket is asked for it.
const collectPath = "/v1/gc"

// Collect has a running registry collect its garbage, which it is asked for through a connection to its control
// socket. It ends when the context does; what was freed until then stays freed.
func Collect(ctx context.Context, dial func(context.Context) (net.Conn, error), o CollectOptions) (gc.Result, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return gc.Result{}, err
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableKeepAlives: true,
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://registry"+collectPath, bytes.NewReader(body))
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

// follow reads the news until the end.
func follow(from io.Reader, report gc.Reporter) (gc.Result, error) {
	for lines := json.NewDecoder(from); ; {
		var line news
		if err := lines.Decode(&line); err != nil {
			return gc.Result{}, fmt.Errorf("collect garbage: the registry broke off: %w", err)
		}
		switch {
		case line.Error != "":
			return freed(line), &Error{Op: "collect garbage", Err: errors.New(line.Error), hint: line.Hint}
		case line.Freed != nil:
			return freed(line), nil
		case line.Step != "":
			report.Step("%s", line.Step)
		}
	}
}

func freed(line news) gc.Result {
	if line.Freed == nil {
		return gc.Result{}
	}
	return *line.Freed
}

// DialSocket connects to the control socket of a registry in the foreground.
func DialSocket(path string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
			return nil, &Error{Op: fmt.Sprintf("connect to %q", path), Err: errNobody, hint: "start it with 'ndock registry serve --control'"}
		case errors.Is(err, fs.ErrPermission):
			return nil, &Error{Op: fmt.Sprintf("connect to %q", path), Err: err, hint: "run it as root, or as the user who serves"}
		}
		return conn, err
	}
}

// Relay copies between a control socket and the streams, until either side ends.
func Relay(ctx context.Context, socket string, in io.Reader, out io.Writer) error {
	conn, err := DialSocket(socket)(ctx)
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

var errNobody = errors.New("no registry listens there")
