package openstack

import (
	"fmt"
	"io"
	"net/http"
	"time"
)

// tracer shows each request and what came of it, and nothing that is secret: no headers, no bodies.
type tracer struct {
	next http.RoundTripper
	w    io.Writer
}

func (t *tracer) RoundTrip(r *http.Request) (*http.Response, error) {
	started := time.Now()
	response, err := t.next.RoundTrip(r)
	if t.w == nil {
		return response, err
	}
	took := time.Since(started).Round(time.Millisecond)
	if err != nil {
		fmt.Fprintf(t.w, "%s %s: %v (%s)\n", r.Method, r.URL.Redacted(), err, took)
		return nil, err
	}
	fmt.Fprintf(t.w, "%s %s: %s %s (%s)\n", r.Method, r.URL.Redacted(), response.Status, requestID(response.Header), took)
	return response, nil
}
