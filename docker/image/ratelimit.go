package image

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxRetryAfter is the longest that a registry can have ndock wait before one request.
const maxRetryAfter = time.Minute

// rateLimiter holds a host's next request back for as long as its last answer said with Retry-After, be it another
// attempt or another blob.
type rateLimiter struct {
	next http.RoundTripper
	wait func(context.Context, time.Duration) error

	mu    sync.Mutex
	until map[string]time.Time // by host
}

func newRateLimiter(next http.RoundTripper) *rateLimiter {
	return &rateLimiter{next: next, wait: sleep, until: map[string]time.Time{}}
}

// RoundTrip implements http.RoundTripper.
func (l *rateLimiter) RoundTrip(r *http.Request) (*http.Response, error) {
	if pause := l.pause(r.URL.Host); pause > 0 {
		if err := l.wait(r.Context(), pause); err != nil {
			return nil, err
		}
	}
	answer, err := l.next.RoundTrip(r)
	if err == nil && (answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusServiceUnavailable) {
		l.hold(r.URL.Host, retryAfter(answer.Header.Get("Retry-After")))
	}
	return answer, err
}

func (l *rateLimiter) pause(host string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.until[host])
}

func (l *rateLimiter) hold(host string, pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(pause); until.After(l.until[host]) {
		l.until[host] = until
	}
}

// retryAfter reads a number of seconds or a date, and returns at most maxRetryAfter; zero for what is neither, or is past.
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), int64(maxRetryAfter/time.Second))) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(time.Until(date), 0), maxRetryAfter)
}

func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
