package serve

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/docker/go-units"
	"github.com/felixge/httpsnoop"

	"ndock/registry/storage"
)

const (
	maxHeader = 64 << 10
)

var (
	errFull    = &storage.Refusal{Status: http.StatusRequestEntityTooLarge, Code: errcode.ErrorCodeDenied, Message: "the registry's storage is full: tell who runs it"}
	errMany    = &storage.Refusal{Status: http.StatusTooManyRequests, Code: errcode.ErrorCodeTooManyRequests, Message: "the registry takes no more uploads at a time: try again later", RetryAfter: storage.UploadRetry, Resumable: true}
	errCut     = &storage.Refusal{Status: http.StatusServiceUnavailable, Code: errcode.ErrorCodeUnavailable, Message: "the registry collects garbage: try again in a minute", RetryAfter: int(retryAfter.Seconds()), Resumable: true}
	errStalled = &storage.Refusal{Status: http.StatusRequestTimeout, Code: errcode.ErrorCodeUnavailable, Message: "nothing came for too long", Resumable: true}
)

// limits keep what one client sends from taking what all need, and say so where they do. What came of an upload that
// is refused is removed at once.
type limits struct {
	prefix  string
	maxBlob int64         // bytes; 0 for any size
	uploads chan struct{} // as many at a time as have room in it; nil for any number
	stall   time.Duration
	store   *storage.Store
	log     *slog.Logger
	bodies  sync.Map // those of requests under way
}

func (l *limits) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !stores(r) {
			next.ServeHTTP(w, r)
			return
		}
		l.serve(next, w, r, parseRoute(l.prefix, r.URL.Path))
	})
}

// serve lets a request store something, and answers with the reason when that ends for one that is known. Nothing is
// refused before distribution reads the body, which it only does for those who may push, to an upload that there is.
func (l *limits) serve(next http.Handler, w http.ResponseWriter, r *http.Request, at route) {
	upload := ""
	if at.upload() {
		upload = at.reference
	}
	b := &body{ReadCloser: r.Body, limits: l, at: at, left: -1, stored: storage.NewRequest(at.repository, upload), control: http.NewResponseController(w)}
	r = r.WithContext(b.stored.Context(r.Context()))
	b.request, r.Body = r, b
	l.bodies.Store(b, nil)
	defer b.end()
	a := &answer{reason: l.reason(b, time.Now())}
	next.ServeHTTP(a.wrap(w), r)
	if a.refused != nil {
		l.discard(r.Context(), at, a.refused)
	}
}

func tooLarge(what string, limit int64) *storage.Refusal {
	return &storage.Refusal{
		Status: http.StatusRequestEntityTooLarge, Code: errcode.ErrorCodeDenied,
		Message: fmt.Sprintf("the registry takes no %s of more than %s", what, units.BytesSize(float64(limit))),
	}
}

// uploaded is how much of the upload came with earlier requests. Distribution checks that it is true.
func uploaded(r *http.Request) int64 {
	const mac = 32 // bytes before the state, by which distribution knows it as its own
	token, err := base64.URLEncoding.DecodeString(r.URL.Query().Get("_state"))
	var state struct{ Offset int64 }
	if err != nil || len(token) < mac || json.Unmarshal(token[mac:], &state) != nil {
		return 0 // distribution refuses it
	}
	return max(0, state.Offset)
}

// cut ends the requests whose bodies are still to come. Others complete what they do.
func (l *limits) cut() {
	l.bodies.Range(func(b, _ any) bool {
		b.(*body).cut()
		return true
	})
}

// reason is why a request failed, if that is known, by the status of the answer that it got.
func (l *limits) reason(b *body, begun time.Time) func(status int) *storage.Refusal {
	return func(status int) *storage.Refusal {
		switch {
		case b.stored.OverQuota != nil:
			return b.stored.OverQuota
		case b.stored.Busy != nil && status >= 400:
			return b.stored.Busy
		case b.cause != nil && status >= 400:
			return b.cause
		case status >= 500 && l.store.FullSince(begun):
			return errFull
		}
		return nil
	}
}

// An answer is replaced by the reason, where there is one.
type answer struct {
	reason  func(status int) *storage.Refusal
	refused *storage.Refusal
}

func (a *answer) wrap(w http.ResponseWriter) http.ResponseWriter {
	return httpsnoop.Wrap(w, httpsnoop.Hooks{
		WriteHeader: func(pass httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
			return func(status int) {
				if a.refused != nil {
					return
				}
				if a.refused = a.reason(status); a.refused != nil {
					a.refused.WriteTo(w)
					return
				}
				pass(status)
			}
		},
		Write: func(pass httpsnoop.WriteFunc) httpsnoop.WriteFunc {
			return func(p []byte) (int, error) {
				if a.refused != nil {
					return len(p), nil
				}
				return pass(p)
			}
		},
	})
}

// discard frees what an upload took that cannot be completed.
func (l *limits) discard(ctx context.Context, at route, why *storage.Refusal) {
	if why == errFull {
		l.log.Error("the storage is full", "repository", at.repository)
	}
	if why.Resumable || !at.upload() {
		return
	}
	if err := l.store.DropUpload(context.WithoutCancel(ctx), at.repository, at.reference); err != nil {
		l.log.Error("remove what an upload left", "error", err)
	}
}

// body ends a request's body that is too large, or does not come.
type body struct {
	io.ReadCloser
	limits   *limits
	at       route
	request  *http.Request
	control  *http.ResponseController
	stored   *storage.Request // what the storage knows of it
	begun    bool             // distribution has read: it has let the client in
	turn     bool             // it is one of the uploads that are taken at a time
	left     int64            // -1 for no limit
	tooLarge *storage.Refusal // what one is told who sends more
	cause    *storage.Refusal // why it was ended

	lock    sync.Mutex
	reading bool // from the client
	isCut   bool // by a collection of garbage
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		b.cause = b.begin()
	}
	if b.cause != nil {
		return 0, b.cause
	}
	n, err := 0, os.ErrDeadlineExceeded
	if b.await() {
		n, err = b.ReadCloser.Read(p)
	}
	isCut := b.came()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.cause = errStalled
		if isCut {
			b.cause = errCut
		}
		return n, b.cause
	}
	if b.cause = b.take(int64(n)); b.cause != nil {
		return 0, b.cause
	}
	return n, err
}

// await is before some of the body is read, if it still may be.
func (b *body) await() bool {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.isCut {
		return false
	}
	b.reading = true
	b.control.SetReadDeadline(time.Now().Add(b.limits.stall))
	return true
}

// came is when it was: the storage may take its time.
func (b *body) came() (isCut bool) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.reading = false
	b.control.SetReadDeadline(time.Time{})
	return b.isCut
}

// cut ends what is read now, and lets no more be read.
func (b *body) cut() {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.isCut = true
	if b.reading {
		b.control.SetReadDeadline(time.Now().Add(-time.Second))
	}
}

// begin tells why none of the body is taken.
func (b *body) begin() *storage.Refusal {
	before := int64(0)
	switch b.at.kind {
	case "manifests":
		b.left, b.tooLarge = storage.MaxManifest, tooLarge("manifests", storage.MaxManifest)
	case "uploads":
		before = uploaded(b.request)
		if most := b.limits.maxBlob; most > 0 {
			b.left, b.tooLarge = max(0, most-before), tooLarge("layers", most)
		}
		if b.request.ContentLength != 0 && !b.takeTurn() {
			return errMany
		}
	default:
		return nil
	}
	if b.left >= 0 && b.request.ContentLength > b.left {
		return b.tooLarge // it need not come
	}
	why := b.limits.store.Begin(b.request.Context(), b.stored, before, b.request.ContentLength)
	if why != nil && why.Cause != nil {
		b.limits.log.Error("find out how much room there is", "repository", b.at.repository, "error", why.Cause)
	}
	return why
}

// take tells why bytes that came are not taken.
func (b *body) take(n int64) *storage.Refusal {
	if b.left >= 0 {
		if b.left -= n; b.left < 0 {
			return b.tooLarge
		}
	}
	return b.limits.store.Take(b.stored, n)
}

func (b *body) takeTurn() bool {
	if b.limits.uploads == nil {
		return true
	}
	select {
	case b.limits.uploads <- struct{}{}:
		b.turn = true
	default:
	}
	return b.turn
}

// end gives back what was taken for the request.
func (b *body) end() {
	b.limits.bodies.Delete(b)
	if b.turn {
		<-b.limits.uploads
	}
	b.limits.store.End(b.stored)
}
