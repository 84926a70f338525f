package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ErrNoRest is the error of a request for the rest of a body that would fail again.
var ErrNoRest = errors.New("it cannot be continued")

// Body reads a download of known size, over as many requests as it takes. The reader checks whether the bytes are the right
// ones.
type Body struct {
	ctx      context.Context
	cancel   context.CancelFunc
	size     int64
	retries  int // most continuations
	rest     func(ctx context.Context, from int64) (io.ReadCloser, error)
	read     int64
	attempts int
	broken   error // why the body ended early

	mu     sync.Mutex // guards all below: who reads may be another than who closes
	body   io.ReadCloser
	closed bool
}

// NewBody returns a Body that begins with body. When that breaks off, rest is called for the bytes from one on, at most
// retries times.
func NewBody(ctx context.Context, body io.ReadCloser, size int64, retries int, rest func(ctx context.Context, from int64) (io.ReadCloser, error)) *Body {
	ctx, cancel := context.WithCancel(ctx)
	return &Body{ctx: ctx, cancel: cancel, body: body, size: size, retries: retries, rest: rest}
}

// Close ends a Read that is under way, also one that waits for the next attempt.
func (b *Body) Close() error {
	b.cancel()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.body.Close()
}

func (b *Body) current() io.Reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.body
}

// replace has the rest read from another answer, unless the body was closed.
func (b *Body) replace(body io.ReadCloser) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errors.Join(http.ErrBodyReadAfterClose, body.Close())
	}
	b.body.Close()
	b.body, b.broken = body, nil
	return nil
}

// Read implements io.Reader. It returns io.EOF only after all bytes: no other error is io.EOF or wraps it.
func (b *Body) Read(p []byte) (int, error) {
	if b.broken != nil {
		if err := b.resume(); err != nil {
			return 0, fmt.Errorf("the download broke after %d of %d bytes: %w", b.read, b.size, unexpected(err))
		}
	}
	n, err := b.current().Read(p)
	if left := b.size - b.read; int64(n) > left {
		b.read = b.size
		return int(left), fmt.Errorf("more than the %d bytes came that were to come", b.size)
	}
	b.read += int64(n)
	if err == nil || b.read == b.size {
		return n, err
	}
	b.broken = unexpected(err)
	return n, nil
}

// resume asks for the rest until an answer brings it, or no attempts are left.
func (b *Body) resume() error {
	for b.attempts < b.retries && b.ctx.Err() == nil {
		pause := PauseBefore(b.attempts)
		b.attempts++
		if err := Wait(b.ctx, pause); err != nil {
			return err
		}
		body, err := b.rest(b.ctx, b.read)
		if err == nil {
			return b.replace(body)
		}
		if b.broken = err; errors.Is(err, ErrNoRest) {
			b.attempts = b.retries
		}
	}
	return b.broken
}

// PauseBefore returns how long to wait before an attempt is repeated: 0 before the first repetition, for one broken
// connection is no sign of trouble, then longer each time.
func PauseBefore(attempt int) time.Duration {
	if attempt == 0 {
		return 0
	}
	return time.Second << min(attempt, 5)
}

// unexpected turns an error that is or wraps io.EOF into io.ErrUnexpectedEOF, so that no reader takes an early end for the
// end of what it reads.
func unexpected(err error) error {
	switch {
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF):
		return earlyEnd{err}
	}
	return err
}

type earlyEnd struct{ error }

func (earlyEnd) Unwrap() error { return io.ErrUnexpectedEOF }

// Rest returns the body of an answer to a request for the bytes from one on, of size bytes in all. A server without ranges
// sends all of them again; those before from are skipped. The error is ErrNoRest where another attempt would fail too.
func Rest(answer *http.Response, from, size int64) (io.ReadCloser, error) {
	var err error
	switch status := answer.StatusCode; {
	case status == http.StatusPartialContent:
		if part := answer.Header.Get("Content-Range"); !isPart(part, from, size) {
			err = fmt.Errorf("%w: asked for the rest, %s sends another part, %q", ErrNoRest, answer.Request.URL.Host, part)
		}
	case status == http.StatusOK && answer.ContentLength >= 0 && answer.ContentLength != size:
		err = fmt.Errorf("%w: asked for the rest, %s sends something else, of %d bytes", ErrNoRest, answer.Request.URL.Host, answer.ContentLength)
	case status == http.StatusOK:
		_, err = io.CopyN(io.Discard, answer.Body, from)
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		err = fmt.Errorf("asked for the rest, %s answered %d %s", answer.Request.URL.Host, status, http.StatusText(status))
	default:
		err = fmt.Errorf("%w: asked for the rest, %s answered %d %s", ErrNoRest, answer.Request.URL.Host, status, http.StatusText(status))
	}
	if err != nil {
		return nil, errors.Join(err, answer.Body.Close())
	}
	return answer.Body, nil
}

// isPart reports whether a Content-Range begins at from and is of size bytes in all. It may end early.
func isPart(part string, from, size int64) bool {
	part, of, _ := strings.Cut(part, "/")
	return strings.HasPrefix(part, fmt.Sprintf("bytes %d-", from)) && (of == "*" || of == fmt.Sprint(size))
}
