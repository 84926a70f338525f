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

	"ndock/registry/glance"
	"ndock/registry/internal/turns"
	"ndock/registry/refusal"
	"ndock/registry/storage"
)

const (
	maxHeader = 64 << 10
)

var (
	errNoSpace        = &refusal.Refusal{Status: http.StatusRequestEntityTooLarge, Code: errcode.ErrorCodeDenied, Message: "the registry's storage is full: tell who runs it"}
	errTooManyUploads = &refusal.Refusal{Status: http.StatusTooManyRequests, Code: errcode.ErrorCodeTooManyRequests, Message: "the registry takes no more uploads at a time: try again later", RetryAfter: refusal.RetryUploads, Resumable: true}
	errReadOnly       = &refusal.Refusal{Status: http.StatusServiceUnavailable, Code: errcode.ErrorCodeUnavailable, Message: "the registry collects garbage: try again in a minute", RetryAfter: int(retryAfter.Seconds()), Resumable: true}
	errStalled        = &refusal.Refusal{Status: http.StatusRequestTimeout, Code: errcode.ErrorCodeUnavailable, Message: "nothing came for too long", Resumable: true}
)

// limits keep a client from taking what all need, and tell it so. They remove at once what has come of a refused
// upload.
type limits struct {
	prefix  string
	maxBlob int64         // bytes; 0 for any size
	uploads chan struct{} // as many at a time as have room in it; nil for any number
	stall   time.Duration
	store   backing
	log     *slog.Logger
	bodies  sync.Map // those of requests under way
	names   *projectNames
	memory  manifestBodies
	answers manifestAnswers
}

// backing is what limits ask of where the bodies of requests go.
type backing interface {
	// Begin, Take and End count a body against a quota: see storage.Store.
	Begin(ctx context.Context, r *storage.Request, before, size int64) *refusal.Refusal
	Take(r *storage.Request, n int64) *refusal.Refusal
	End(r *storage.Request)
	// FullSince returns whether there was no space left at some time since t.
	FullSince(t time.Time) bool
	// DropUpload removes what has come of an upload.
	DropUpload(ctx context.Context, repository, id string) error
}

func (l *limits) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		why := &refusal.Record{}
		r = r.WithContext(why.Context(r.Context()))
		at := parseRoute(l.prefix, r.URL.Path)
		switch {
		case stores(r):
			l.serve(next, w, r, why)
		case readsManifest(at, r):
			l.answer(next, w, r, why, l.answers.reads)
		case readsList(at, r) && l.answers.lists != nil:
			inPages(at, r)
			l.answer(next, w, r, why, l.answers.lists)
		default:
			a := &replaceableAnswer{reason: func(status int) *refusal.Refusal { return failed(status, why.Why()) }}
			next.ServeHTTP(a.wrap(w), r)
		}
	})
}

// answer serves a request for a manifest or a list, when there is memory for it.
func (l *limits) answer(next http.Handler, w http.ResponseWriter, r *http.Request, why *refusal.Record, reads *turns.Turns) {
	turn, refused := l.answers.begin(w, r, reads)
	if refused != nil {
		refused.WriteTo(w)
		return
	}
	defer turn.end()
	a := &replaceableAnswer{reason: func(status int) *refusal.Refusal {
		if known := failed(status, why.Why()); known != nil {
			return known
		}
		return turn.write(status)
	}}
	next.ServeHTTP(a.wrap(w), r)
}

// failed returns the reason if the status is that of a failure.
func failed(status int, why *refusal.Refusal) *refusal.Refusal {
	if status < http.StatusBadRequest {
		return nil
	}
	return why
}

// serve serves a request that stores something. If it fails for a known reason, the answer says so. Nothing is refused
// before distribution reads the body, because it reads only for clients that may push, and only to an upload that
// exists.
func (l *limits) serve(next http.Handler, w http.ResponseWriter, r *http.Request, why *refusal.Record) {
	at, upload := parseRoute(l.prefix, r.URL.Path), ""
	if at.upload() {
		upload = at.reference
	}
	b := &body{ReadCloser: r.Body, limits: l, at: at, left: -1, stored: storage.NewRequest(at.repository, upload), control: http.NewResponseController(w)}
	r = r.WithContext(b.stored.Context(r.Context()))
	b.request, r.Body = r, b
	l.bodies.Store(b, nil)
	defer b.end()
	a := &replaceableAnswer{reason: l.reason(b, why, time.Now())}
	next.ServeHTTP(a.wrap(w), r)
	if a.replaced != nil {
		l.discard(r.Context(), at, a.replaced)
	}
}

func tooLarge(what string, limit int64) *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusRequestEntityTooLarge, Code: errcode.ErrorCodeDenied,
		Message: fmt.Sprintf("the registry takes no %s of more than %s", what, units.BytesSize(float64(limit))),
	}
}

// uploaded returns how much of the upload came with earlier requests, as the client says. Distribution verifies it.
func uploaded(r *http.Request) int64 {
	const mac = 32 // bytes before the state, by which distribution knows it as its own
	token, err := base64.URLEncoding.DecodeString(r.URL.Query().Get("_state"))
	var state struct{ Offset int64 }
	if err != nil || len(token) < mac || json.Unmarshal(token[mac:], &state) != nil {
		return 0 // distribution refuses it
	}
	return max(0, state.Offset)
}

// interrupt ends the requests whose bodies are still to come. Others complete.
func (l *limits) interrupt() {
	l.bodies.Range(func(b, _ any) bool {
		b.(*body).interrupt()
		return true
	})
}

// reason returns a function from the status of an answer to why the request failed; nil if that is not known.
func (l *limits) reason(b *body, why *refusal.Record, begun time.Time) func(status int) *refusal.Refusal {
	return func(status int) *refusal.Refusal {
		switch {
		case b.stored.OverQuota != nil:
			return b.stored.OverQuota
		case failed(status, why.Why()) != nil:
			return why.Why()
		case failed(status, b.cause) != nil:
			return b.cause
		case status >= 500 && l.store.FullSince(begun):
			return errNoSpace
		}
		return nil
	}
}

// A replaceableAnswer is replaced by the reason, where there is one. Distribution has no other way to say why the storage or a
// body has failed.
type replaceableAnswer struct {
	reason   func(status int) *refusal.Refusal
	begun    bool
	replaced *refusal.Refusal
}

// begin replaces an answer of this status, where there is a reason.
func (a *replaceableAnswer) begin(w http.ResponseWriter, status int) {
	if a.begun {
		return
	}
	a.begun = status >= http.StatusOK
	if a.replaced = a.reason(status); a.replaced != nil {
		w.Header().Del("Etag") // which are those of a manifest
		w.Header().Del("Docker-Content-Digest")
		a.replaced.WriteTo(w)
	}
}

func (a *replaceableAnswer) wrap(w http.ResponseWriter) http.ResponseWriter {
	return httpsnoop.Wrap(w, httpsnoop.Hooks{
		WriteHeader: func(pass httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
			return func(status int) {
				if a.begin(w, status); a.replaced == nil {
					pass(status)
				}
			}
		},
		Write: func(pass httpsnoop.WriteFunc) httpsnoop.WriteFunc {
			return func(p []byte) (int, error) {
				if a.begin(w, http.StatusOK); a.replaced != nil {
					return len(p), nil
				}
				return pass(p)
			}
		},
	})
}

// discard removes what has come of an upload that cannot be completed.
func (l *limits) discard(ctx context.Context, at route, why *refusal.Refusal) {
	if why == errNoSpace {
		l.log.Error("the storage is full", "repository", at.repository)
	}
	if why.Resumable || !at.upload() {
		return
	}
	if err := l.store.DropUpload(context.WithoutCancel(ctx), at.repository, at.reference); err != nil {
		l.log.Error("remove what an upload left", "error", err)
	}
}

// body is the body of a request. It ends early if it is too large, does not come, or may not be stored.
type body struct {
	io.ReadCloser
	limits   *limits
	at       route
	request  *http.Request
	control  *http.ResponseController
	stored   *storage.Request // what the storage knows of it
	begun    bool             // distribution has read: it has let the client in
	turn     bool             // it is one of the uploads that are taken at a time
	elements *glance.Elements // of a manifest
	until    time.Time        // when a manifest must have come
	leave    func()           // ends a manifest's turn; nil without one
	left     int64            // -1 for no limit
	tooLarge *refusal.Refusal // what one is told who sends more
	cause    *refusal.Refusal // why it was ended

	lock        sync.Mutex
	reading     bool // from the client
	interrupted bool // by a collection of garbage
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
	if b.startRead() {
		n, err = b.ReadCloser.Read(p)
	}
	isCut := b.endRead()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.cause = b.late(isCut)
		return n, b.cause
	}
	if b.cause = b.take(p[:n]); b.cause != nil {
		return 0, b.cause
	}
	return n, err
}

// startRead sets the deadline for a read from the client. It returns false if no more may be read.
func (b *body) startRead() bool {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.interrupted {
		return false
	}
	b.reading = true
	deadline := time.Now().Add(b.limits.stall)
	if !b.until.IsZero() && b.until.Before(deadline) {
		deadline = b.until
	}
	b.control.SetReadDeadline(deadline)
	return true
}

// late returns why a read has ended by its deadline.
func (b *body) late(isCut bool) *refusal.Refusal {
	switch {
	case isCut:
		return errReadOnly
	case !b.until.IsZero() && !time.Now().Before(b.until):
		return errManifestTooLate
	}
	return errStalled
}

// endRead clears the deadline, because the storage may take its time.
func (b *body) endRead() (isCut bool) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.reading = false
	b.control.SetReadDeadline(time.Time{})
	return b.interrupted
}

// interrupt ends a read that is under way, and refuses further ones.
func (b *body) interrupt() {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.interrupted = true
	if b.reading {
		b.control.SetReadDeadline(time.Now().Add(-time.Second))
	}
}

// begin returns why nothing of the body is taken; nil if it is.
func (b *body) begin() *refusal.Refusal {
	before := int64(0)
	switch b.at.kind {
	case "manifests":
		b.left, b.tooLarge = storage.MaxManifest, tooLarge("manifests", storage.MaxManifest)
		b.elements = &glance.Elements{}
	case "uploads":
		before = uploaded(b.request)
		if most := b.limits.maxBlob; most > 0 {
			b.left, b.tooLarge = max(0, most-before), tooLarge("layers", most)
		}
		if b.request.ContentLength != 0 && !b.takeTurn() {
			return errTooManyUploads
		}
	default:
		return nil
	}
	if b.left >= 0 && b.request.ContentLength > b.left {
		return b.tooLarge // it need not come
	}
	if b.elements != nil {
		leave, why := b.limits.memory.enter(b.request.Context(), b.limits.names.group(b.at.repository), b.request.ContentLength)
		if why != nil {
			return why
		}
		b.leave, b.until = leave, time.Now().Add(b.limits.memory.within)
	}
	why := b.limits.store.Begin(b.request.Context(), b.stored, before, b.request.ContentLength)
	if why != nil && why.Cause != nil {
		b.limits.log.Error("find out how much room there is", "repository", b.at.repository, "error", why.Cause)
	}
	return why
}

// take returns why bytes that came are not taken; nil if they are.
func (b *body) take(p []byte) *refusal.Refusal {
	n := int64(len(p))
	if b.left >= 0 {
		if b.left -= n; b.left < 0 {
			return b.tooLarge
		}
	}
	switch {
	case b.elements == nil:
	case !b.elements.Add(p):
		return errTooManyElements
	case time.Now().After(b.until):
		return errManifestTooLate
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

// end releases what was taken for the request.
func (b *body) end() {
	b.limits.bodies.Delete(b)
	if b.turn {
		<-b.limits.uploads
	}
	if b.leave != nil {
		b.leave()
	}
	b.limits.store.End(b.stored)
}
