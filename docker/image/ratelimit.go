package image

import (
	"context"
	"net/http"
	"sync"
	"time"

	"ndock/docker/transfer"
)

// maxRetryAfter is the longest pause that a registry can request before one request.
const maxRetryAfter = time.Minute

// rateLimiter delays requests to a host for as long as its last answer requested with Retry-After. The delay holds
// for retries and for other blobs.
type rateLimiter struct {
	next http.RoundTripper
	wait func(context.Context, time.Duration) error

	mu    sync.Mutex
	until map[string]time.Time // by host
}

func newRateLimiter(next http.RoundTripper) *rateLimiter {
	return &rateLimiter{next: next, wait: transfer.Wait, until: map[string]time.Time{}}
}

// RoundTrip implements http.RoundTripper.
func (l *rateLimiter) RoundTrip(r *http.Request) (*http.Response, error) {
	if pause := l.pause(r.URL.Host); pause > 0 {
		if err := l.wait(r.Context(), pause); err != nil {
			return nil, err
		}
	}
	response, err := l.next.RoundTrip(r)
	if err == nil && (response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable) {
		pause, _ := transfer.RetryAfter(response.Header)
		l.delay(r.URL.Host, min(pause, maxRetryAfter))
	}
	return response, err
}

func (l *rateLimiter) pause(host string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.until[host])
}

func (l *rateLimiter) delay(host string, pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(pause); until.After(l.until[host]) {
		l.until[host] = until
	}
}
