// Package transfer has what transfers over HTTP need, be it with registries or with OpenStack: a timeout for those that
// stand still, downloads that continue where they broke off, listeners that no client can fill, and what the answers of
// all services have in common. It imports nothing of ndock, so that docker, openstack and registry can all use it.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"time"
)

const (
	longestPause  = 365 * 24 * time.Hour // whatever an answer says
	firstUnixTime = 1_000_000_000        // larger numbers are no pause, but a time in Unix's seconds: Docker Hub has sent such
)

// RetryAfter returns how long to wait before the next request, as the answer's Retry-After says, in seconds or as a date;
// 0 for a date that is past. It returns false where the answer does not say.
func RetryAfter(header http.Header) (time.Duration, bool) {
	said := header.Get("Retry-After")
	seconds, err := strconv.ParseUint(said, 10, 64)
	if err == nil && seconds >= firstUnixTime && seconds <= math.MaxUint32 {
		return until(time.Unix(int64(seconds), 0)), true
	}
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(longestPause/time.Second))) * time.Second, true
	}
	date, err := http.ParseTime(said)
	if err != nil {
		return 0, false
	}
	return until(date), true
}

func until(date time.Time) time.Duration { return min(max(time.Until(date), 0), longestPause) }

// OriginalRequest returns the request that was redirected to this one, or this one.
func OriginalRequest(r *http.Request) *http.Request {
	for r.Response != nil && r.Response.Request != nil {
		r = r.Response.Request
	}
	return r
}

// Bounded returns the body of an answer, which ends in an error where it has more than most bytes.
func Bounded(body io.ReadCloser, most int64) io.ReadCloser { return &bounded{body, most, most} }

type bounded struct {
	io.ReadCloser
	most, left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the answer has more than %d bytes", b.most)
	}
	return n, err
}

// IsWebPage reports whether an answer is a web page. Where a service sends none, it comes from a proxy or a network's login
// page.
func IsWebPage(answer *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	return kind == "text/html"
}

// Wait waits for the pause. It returns the context's error where the context ends first.
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
