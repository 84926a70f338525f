// Package openstacktest has what tests of the openstack packages share.
package openstacktest

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// WantError checks what a user reads: that each part is in the message, and that the message is one line.
func WantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q\nhas no %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q has more than one line", err)
	}
}

// WantHint checks that an error has a hint with the words.
func WantHint(t *testing.T, err error, words string) {
	t.Helper()
	var explained interface{ Hint() string }
	if !errors.As(err, &explained) || !strings.Contains(explained.Hint(), words) {
		t.Errorf("error %v has not the hint %q", err, words)
	}
}

// RoundTripFunc is a function that answers requests.
type RoundTripFunc func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f RoundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TooMany answers that there were too many requests.
func TooMany(r *http.Request, retryAfter string) *http.Response {
	return &http.Response{
		StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {retryAfter}}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"overLimit": {"message": "This request was rate-limited."}}`)),
	}
}
