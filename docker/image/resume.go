package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"ndock/stall/reply"
)

// errNoRest is an answer to a request for the rest of a blob that another attempt would not better.
var errNoRest = errors.New("it cannot be continued")

// resumer continues downloads that break. What is read in the end is verified by its digest, as any blob is.
type resumer struct {
	next    http.RoundTripper
	retries int // most continuations of one answer
}

// RoundTrip implements http.RoundTripper.
func (t resumer) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	if err != nil || !resumable(r, answer) {
		return answer, err
	}
	answer.Body = &resumedBody{resumer: t, request: r, body: answer.Body, size: answer.ContentLength}
	return answer, nil
}

// resumable tells whether an answer has a body of known size, of which the rest can be asked for.
func resumable(r *http.Request, answer *http.Response) bool {
	return r.Method == http.MethodGet && r.Header.Get("Range") == "" && answer.StatusCode == http.StatusOK &&
		answer.ContentLength > 0 && !answer.Uncompressed
}

// resumedBody is the body of an answer, over as many requests as it takes.
type resumedBody struct {
	resumer
	request  *http.Request
	read     int64
	size     int64
	attempts int
	broken   error // why the body ended early

	mu     sync.Mutex // guards all below: an HTTP client may close what it sends while it reads
	body   io.ReadCloser
	closed bool
}

func (b *resumedBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.body.Close()
}

func (b *resumedBody) current() io.Reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.body
}

// replace has the rest read from another answer, unless nobody reads any more.
func (b *resumedBody) replace(body io.ReadCloser) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errors.Join(http.ErrBodyReadAfterClose, body.Close())
	}
	b.body.Close()
	b.body, b.broken = body, nil
	return nil
}

func (b *resumedBody) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// Read implements io.Reader.
func (b *resumedBody) Read(p []byte) (int, error) {
	if b.broken != nil {
		if err := b.resume(); err != nil {
			return 0, fmt.Errorf("the download broke after %d of %d bytes: %w", b.read, b.size, err)
		}
	}
	n, err := b.current().Read(p)
	b.read += int64(n)
	if err == nil || b.read >= b.size {
		return n, err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	b.broken = err
	return n, nil
}

// resume asks for the rest until an answer brings it.
func (b *resumedBody) resume() error {
	ctx := b.request.Context()
	for b.attempts < b.retries && ctx.Err() == nil && !b.isClosed() {
		pause := pauseBefore(b.attempts)
		b.attempts++
		if err := reply.Wait(ctx, pause); err != nil {
			return err
		}
		body, err := b.rest(ctx)
		if err == nil {
			return b.replace(body)
		}
		if b.broken = err; errors.Is(err, errNoRest) {
			b.attempts = b.retries
		}
	}
	return b.broken
}

// pauseBefore is none before the first continuation: one broken connection is no sign of trouble.
func pauseBefore(attempt int) time.Duration {
	if attempt == 0 {
		return 0
	}
	return time.Second << min(attempt, 5)
}

// ask asks for what is left. A link to a storage that is refused by now is fetched anew.
func (b *resumedBody) ask(ctx context.Context) (*http.Response, error) {
	answer, err := b.askAt(b.request.Clone(ctx))
	if err != nil || !refusesLink(answer.StatusCode) {
		return answer, err
	}
	renewed, err := b.renew(ctx)
	if err != nil {
		return answer, nil // which says more
	}
	answer.Body.Close()
	b.request = renewed
	return b.askAt(renewed.Clone(ctx))
}

func (b *resumedBody) askAt(request *http.Request) (*http.Response, error) {
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", b.read, b.size-1))
	return b.next.RoundTrip(request)
}

// refusesLink tells how storages answer to a link that is too old.
func refusesLink(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusGone
}

// renew asks where the rest is, as the first request did. It follows to the same storage only: what else is refused there
// has been looked at when the download began.
func (b *resumedBody) renew(ctx context.Context) (*http.Request, error) {
	first := b.request
	for first.Response != nil && first.Response.Request != nil {
		first = first.Response.Request
	}
	if first == b.request {
		return nil, fmt.Errorf("%w: it came by no link", errNoRest)
	}
	answer, err := b.next.RoundTrip(first.Clone(ctx))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	location, err := answer.Location()
	if err != nil {
		return nil, err
	}
	if location.Host != b.request.URL.Host || location.Scheme != b.request.URL.Scheme {
		return nil, fmt.Errorf("%w: it is elsewhere by now", errNoRest)
	}
	renewed := b.request.Clone(ctx)
	renewed.URL = location
	return renewed, nil
}

// rest opens what is left. A server that does not know ranges sends all anew.
func (b *resumedBody) rest(ctx context.Context) (io.ReadCloser, error) {
	answer, err := b.ask(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case answer.StatusCode == http.StatusPartialContent && strings.HasPrefix(answer.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", b.read)):
		return answer.Body, nil
	case answer.StatusCode == http.StatusPartialContent:
		err = fmt.Errorf("%w: the answer to a request for the rest has another part, %q", errNoRest, answer.Header.Get("Content-Range"))
	case answer.StatusCode == http.StatusOK:
		if _, err = io.CopyN(io.Discard, answer.Body, b.read); err == nil {
			return answer.Body, nil
		}
	case answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode >= http.StatusInternalServerError:
		err = fmt.Errorf("asked for the rest, the registry answered %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	default:
		err = fmt.Errorf("%w: asked for the rest, the registry answered %d %s", errNoRest, answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	return nil, errors.Join(err, answer.Body.Close())
}
