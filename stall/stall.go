// Package stall ends HTTP transfers in which nothing moves any more. How long they take in all, it does not mind.
package stall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Limit is for how long nothing may move. Storage behind a service can be slow to take the end of an image.
const Limit = 5 * time.Minute

// Error says that the other side has stalled.
type Error struct {
	Host  string
	Limit time.Duration
}

func (e *Error) Error() string {
	return fmt.Sprintf("nothing moved between here and %s for %s", e.Host, e.Limit)
}

// Hint says what to look at.
func (e *Error) Hint() string {
	return "see whether " + e.Host + " and what it stores in are well, and what is on the way to it (proxy, firewall, MTU)"
}

// Timeout makes it a net.Error's kind of timeout.
func (e *Error) Timeout() bool { return true }

// Transport gives each request and answer the limit. Only the other side is timed: a source that is slow to give what
// is sent, or a caller that is slow to read, is not its fault.
type Transport struct {
	Next  http.RoundTripper
	Limit time.Duration
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	stalled := func() { cancel(&Error{r.URL.Host, t.Limit}) }
	sending := newClock(t.Limit, stalled)
	sending.run()
	answer, err := t.Next.RoundTrip(watched(r.WithContext(ctx), sending))
	sending.stop()
	if err != nil {
		defer cancel(nil)
		return nil, reason(ctx, err)
	}
	answer.Body = &received{ReadCloser: answer.Body, clock: newClock(t.Limit, stalled), ctx: ctx, cancel: cancel}
	return answer, nil
}

// reason is the stall, where one was the cause.
func reason(ctx context.Context, err error) error {
	var stalled *Error
	if err != nil && errors.As(context.Cause(ctx), &stalled) {
		return stalled
	}
	return err
}

// watched has the clock stand still while what is sent is waited for, also when it is sent again.
func watched(r *http.Request, c *clock) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	r.Body = &sent{r.Body, c}
	if again := r.GetBody; again != nil {
		r.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			return &sent{body, c}, err
		}
	}
	return r
}

type sent struct {
	io.ReadCloser
	clock *clock
}

func (s *sent) Read(p []byte) (int, error) {
	s.clock.pause()
	defer s.clock.run()
	return s.ReadCloser.Read(p)
}

type received struct {
	io.ReadCloser
	clock  *clock
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func (r *received) Read(p []byte) (int, error) {
	r.clock.run()
	defer r.clock.pause()
	n, err := r.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		return n, err
	}
	return n, reason(r.ctx, err)
}

func (r *received) Close() error {
	r.clock.stop()
	defer r.cancel(nil)
	return r.ReadCloser.Close()
}

// clock calls when it has run for the limit without a pause.
type clock struct {
	limit time.Duration

	mu      sync.Mutex // guards all below
	timer   *time.Timer
	stopped bool
}

func newClock(limit time.Duration, call func()) *clock {
	c := &clock{limit: limit, timer: time.AfterFunc(limit, call)}
	c.pause()
	return c
}

// run begins from zero.
func (c *clock) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.timer.Reset(c.limit)
	}
}

func (c *clock) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer.Stop()
}

// stop is for good: a transport may go on to read what it sends after the answer has come.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.timer.Stop()
}
