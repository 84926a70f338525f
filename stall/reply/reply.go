// Package reply reads what the answers of HTTP services have in common, be they registries or OpenStack's: how long one
// asks to be left alone, whether somebody else has answered in its place, and the rest of what broke off.
package reply

import (
	"context"
	"errors"
	"math"
	"mime"
	"net/http"
	"strconv"
	"time"
)

const (
	longest    = 365 * 24 * time.Hour // what a pause counts for at most, whatever an answer says
	firstStamp = 1_000_000_000        // the first number that is no pause, but a time in Unix's seconds: Docker Hub has sent such
)

// RetryAfter returns how long an answer asks to be left alone, in seconds or by a date; zero for one that is past. It is
// false where an answer does not say.
func RetryAfter(header http.Header) (time.Duration, bool) {
	said := header.Get("Retry-After")
	seconds, err := strconv.ParseUint(said, 10, 64)
	if err == nil && seconds >= firstStamp && seconds <= math.MaxUint32 {
		return until(time.Unix(int64(seconds), 0)), true
	}
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(longest/time.Second))) * time.Second, true
	}
	date, err := http.ParseTime(said)
	if err != nil {
		return 0, false
	}
	return until(date), true
}

func until(date time.Time) time.Duration { return min(max(time.Until(date), 0), longest) }

// First is the request that was redirected to this one, or this one.
func First(r *http.Request) *http.Request {
	for r.Response != nil && r.Response.Request != nil {
		r = r.Response.Request
	}
	return r
}

// IsWebPage tells whether an answer is one: from a service whose answers are none, a proxy or a network's login page has
// sent it.
func IsWebPage(answer *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	return kind == "text/html"
}

// Wait waits for so long, unless the context ends before.
func Wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
