package transport

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"ndock/docker/transfer"
)

// tracer shows each request and what came of it, and nothing that is secret: no headers, no bodies.
type tracer struct {
	next http.RoundTripper
	w    io.Writer
}

// Trace wraps next for requests to what is no service of the cloud's, and no more than trace.
func Trace(next http.RoundTripper, trace io.Writer) http.RoundTripper {
	return &tracer{next: next, w: trace}
}

// RoundTrip implements http.RoundTripper.
func (t *tracer) RoundTrip(r *http.Request) (*http.Response, error) {
	started := time.Now()
	response, err := t.next.RoundTrip(r)
	if t.w == nil {
		return response, err
	}
	took := time.Since(started).Round(time.Millisecond)
	if err != nil {
		fmt.Fprintf(t.w, "%s %s: %v (%s)\n", r.Method, shown(r), transfer.WithoutQueries(err), took)
		return nil, err
	}
	fmt.Fprintf(t.w, "%s %s: %s %s (%s)\n", r.Method, shown(r), response.Status, RequestID(response.Header), took)
	return response, nil
}

// shown returns a request's address. Of one that a service redirected to, what follows the question mark may sign it; of a
// websocket, it is a console's token.
func shown(r *http.Request) string {
	if r.Response == nil && r.Header.Get("Upgrade") == "" {
		return r.URL.Redacted()
	}
	address, _, _ := strings.Cut(r.URL.Redacted(), "?")
	return address
}

// RequestID returns the id that a service gave a request; empty where it gave none.
func RequestID(header http.Header) string {
	if id := header.Get("X-Openstack-Request-Id"); id != "" {
		return id
	}
	return header.Get("X-Compute-Request-Id")
}
