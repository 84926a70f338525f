// Package transport has what all requests to a cloud's services go through: it waits for a service that has too many
// requests, traces, refuses web pages in place of answers, and sends no token to a host that the user has not named.
package transport

import (
	"io"
	"net/http"

	"ndock/docker/transfer"
)

// New wraps next. A request goes through the wrappers in the order in which they stand here. The trace gets a line for each
// request; nil for none. An http.Client needs CheckRedirect beside it.
func New(next http.RoundTripper, trace io.Writer) http.RoundTripper {
	return Backoff{Next: &tracer{next: htmlRefuser{&pageGuard{next: next}}, w: trace}, Wait: transfer.Wait}
}
