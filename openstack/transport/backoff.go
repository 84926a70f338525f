package transport

import (
	"context"
	"net/http"
	"time"

	"ndock/docker/transfer"
)

const (
	// LongestBackoff is how long a service that has had too many requests is waited for in all, where nothing else says.
	LongestBackoff = time.Minute
	// maxBackoffs is how often a request is made again then.
	maxBackoffs = 5
	// statusRateLimited is what some services say for 429.
	statusRateLimited = 498
)

// Backoff makes a request again that a service refused because it had too many, after the time for which the service asks.
// Where that ends after the request's deadline, or where there is none after LongestBackoff in all, the answer stands. An
// upload is not sent again: its body has flowed by.
type Backoff struct {
	Next http.RoundTripper
	Wait func(context.Context, time.Duration) error
}

// RoundTrip implements http.RoundTripper.
func (b Backoff) RoundTrip(r *http.Request) (*http.Response, error) {
	left := LongestBackoff
	for tries := 1; ; tries++ {
		got, err := b.Next.RoundTrip(r)
		if err != nil || got.StatusCode != http.StatusTooManyRequests && got.StatusCode != statusRateLimited || tries > maxBackoffs {
			return got, err
		}
		pause, said := transfer.RetryAfter(got.Header)
		if !said {
			pause = time.Second << tries
		}
		if deadline, limited := r.Context().Deadline(); limited {
			left = time.Until(deadline)
		}
		again, ok := replayed(r)
		if left -= pause; !ok || left < 0 {
			return got, nil
		}
		got.Body.Close()
		if err := b.Wait(r.Context(), pause); err != nil {
			return nil, err
		}
		r = again
	}
}

// replayed returns the same request once more, if its body can be had again.
func replayed(r *http.Request) (*http.Request, bool) {
	again := r.Clone(r.Context())
	if r.Body == nil || r.Body == http.NoBody {
		return again, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	again.Body = body
	return again, err == nil
}
