package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// IdleTimeout is how long a transfer may stand still. It is long because the storage behind a service can be slow to
// take the end of an image.
const IdleTimeout = 5 * time.Minute

// IdleError is the error of a transfer that stood still: the other side neither took nor sent a byte for After.
type IdleError struct {
	Host  string
	After time.Duration
}

func (e *IdleError) Error() string {
	return fmt.Sprintf("nothing moved between here and %s for %s", e.Host, e.After)
}

// Hint says what to look at.
func (e *IdleError) Hint() string {
	return "see whether " + e.Host + " and what it stores in are well, and what is on the way to it (proxy, firewall, MTU)"
}

// Timeout reports true, as net.Error has it for timeouts.
func (e *IdleError) Timeout() bool { return true }

// IdleTransport ends requests and answers that stand still for Timeout with an IdleError, however long they take in all.
// Only the other side is timed: a slow source of what is sent, or a slow reader of the answer, is not its fault.
type IdleTransport struct {
	Next    http.RoundTripper
	Timeout time.Duration
}

// RoundTrip implements http.RoundTripper.
func (t *IdleTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	idle := func() { cancel(&IdleError{r.URL.Host, t.Timeout}) }
	sending := newIdleTimer(t.Timeout, idle)
	sending.restart()
	answer, err := t.Next.RoundTrip(timedRequest(r.WithContext(ctx), sending))
	sending.stop()
	if err != nil {
		defer cancel(nil)
		return nil, idleCause(ctx, err)
	}
	answer.Body = &responseBody{ReadCloser: answer.Body, timer: newIdleTimer(t.Timeout, idle), ctx: ctx, cancel: cancel}
	return answer, nil
}

// idleCause returns the IdleError that ended the context, or err where none did.
func idleCause(ctx context.Context, err error) error {
	var idle *IdleError
	if err != nil && errors.As(context.Cause(ctx), &idle) {
		return idle
	}
	return err
}

// timedRequest pauses the timer while the request's body is waited for, also when it is sent again.
func timedRequest(r *http.Request, timer *idleTimer) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	r.Body = &requestBody{r.Body, timer}
	if again := r.GetBody; again != nil {
		r.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			return &requestBody{body, timer}, err
		}
	}
	return r
}

type requestBody struct {
	io.ReadCloser
	timer *idleTimer
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.timer.pause()
	defer b.timer.restart()
	return b.ReadCloser.Read(p)
}

type responseBody struct {
	io.ReadCloser
	timer  *idleTimer
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func (b *responseBody) Read(p []byte) (int, error) {
	b.timer.restart()
	defer b.timer.pause()
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		return n, err
	}
	return n, idleCause(b.ctx, err)
}

func (b *responseBody) Close() error {
	b.timer.stop()
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}

// idleTimer calls a function when it has run for the timeout without a pause.
type idleTimer struct {
	timeout time.Duration

	mu      sync.Mutex // guards all below
	timer   *time.Timer
	stopped bool
}

func newIdleTimer(timeout time.Duration, call func()) *idleTimer {
	t := &idleTimer{timeout: timeout, timer: time.AfterFunc(timeout, call)}
	t.pause()
	return t
}

// restart begins from zero.
func (t *idleTimer) restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.stopped {
		t.timer.Reset(t.timeout)
	}
}

func (t *idleTimer) pause() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer.Stop()
}

// stop is final: a transport may go on to read the request's body after the answer has come.
func (t *idleTimer) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.timer.Stop()
}
