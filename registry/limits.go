package registry

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
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/docker/go-units"
	"github.com/felixge/httpsnoop"

	"ndock/registry/gc"
)

const (
	maxManifest    = 4 << 20 // what distribution takes, too
	maxHeader      = 64 << 10
	uploadPatience = 10 // seconds after which a client may ask again for an upload's turn
)

var (
	errFull    = &refusal{status: http.StatusRequestEntityTooLarge, code: errcode.ErrorCodeDenied, message: "the registry's storage is full: tell who runs it"}
	errMany    = &refusal{status: http.StatusTooManyRequests, code: errcode.ErrorCodeTooManyRequests, message: "the registry takes no more uploads at a time: try again later", retryAfter: uploadPatience}
	errStalled = &refusal{status: http.StatusRequestTimeout, code: errcode.ErrorCodeUnavailable, message: "nothing came for too long"}
)

// limits keep what one client sends from taking what all need, and say so where they do. What came of an upload that
// is refused is removed at once.
type limits struct {
	prefix  string
	maxBlob int64         // bytes; 0 for any size
	uploads chan struct{} // as many at a time as have room in it; nil for any number
	stall   time.Duration
	store   *store
	log     *slog.Logger
}

func (l *limits) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !stores(r) {
			next.ServeHTTP(w, r)
			return
		}
		at := parseRoute(l.prefix, r.URL.Path)
		if at.kind == "uploads" && r.ContentLength != 0 {
			if !l.begin() {
				errMany.write(w)
				return
			}
			defer l.end()
		}
		l.serve(next, w, r, at)
	})
}

func (l *limits) begin() bool {
	if l.uploads == nil {
		return true
	}
	select {
	case l.uploads <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l *limits) end() {
	if l.uploads != nil {
		<-l.uploads
	}
}

// serve lets a request store something, and answers with the reason when that ends for one that is known. Nothing is
// refused before distribution reads the body, which it only does for those who may push, to an upload that there is.
func (l *limits) serve(next http.Handler, w http.ResponseWriter, r *http.Request, at route) {
	b := &body{ReadCloser: r.Body, stall: l.stall, control: http.NewResponseController(w)}
	r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, b))
	b.limit = func() (int64, *refusal) { return l.limit(r, at) }
	r.Body = b
	a := &answer{reason: l.reason(b, time.Now())}
	next.ServeHTTP(a.wrap(w), r)
	if a.refused != nil {
		l.discard(r.Context(), at, a.refused)
	}
}

// limit is how many bytes the body may have, -1 for any number, and the answer to one that has more.
func (l *limits) limit(r *http.Request, at route) (left int64, why *refusal) {
	switch left = -1; {
	case at.kind == "manifests":
		left, why = maxManifest, tooLarge("manifests", maxManifest)
	case at.kind == "uploads":
		left, why = l.limitLayer(r, at)
	}
	if left >= 0 && r.ContentLength > left {
		left = 0 // the rest need not come
	}
	return left, why
}

// limitLayer is by the size of the layer, and by the room for it where that is less.
func (l *limits) limitLayer(r *http.Request, at route) (left int64, why *refusal) {
	left = -1
	if l.maxBlob > 0 {
		left, why = max(0, l.maxBlob-uploaded(r)), tooLarge("layers", l.maxBlob)
	}
	if l.store.quota == nil || r.ContentLength == 0 {
		return left, why
	}
	room, full, err := l.store.quota.room(r.Context(), at.repository)
	if err != nil {
		l.log.Error("find out how much room a layer has", "repository", at.repository, "error", err)
	}
	if room = max(0, room-uploaded(r)); left < 0 || room < left {
		return room, full
	}
	return left, why
}

func tooLarge(what string, limit int64) *refusal {
	return &refusal{
		status: http.StatusRequestEntityTooLarge, code: errcode.ErrorCodeDenied,
		message: fmt.Sprintf("the registry takes no %s of more than %s", what, units.BytesSize(float64(limit))),
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
	return state.Offset
}

// reason is why a request failed, if that is known, by the status of the answer that it got.
func (l *limits) reason(b *body, begun time.Time) func(status int) *refusal {
	return func(status int) *refusal {
		switch {
		case b.overQuota != nil:
			return b.overQuota
		case b.cause != nil && status >= 400:
			return b.cause
		case status >= 500 && l.store.fullSince(begun):
			return errFull
		}
		return nil
	}
}

// An answer is replaced by the reason, where there is one.
type answer struct {
	reason  func(status int) *refusal
	refused *refusal
}

func (a *answer) wrap(w http.ResponseWriter) http.ResponseWriter {
	return httpsnoop.Wrap(w, httpsnoop.Hooks{
		WriteHeader: func(pass httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
			return func(status int) {
				if a.refused != nil {
					return
				}
				if a.refused = a.reason(status); a.refused != nil {
					a.refused.write(w)
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
func (l *limits) discard(ctx context.Context, at route, why *refusal) {
	if why == errFull {
		l.log.Error("the storage is full", "repository", at.repository)
	}
	if why == errStalled || !at.upload() { // a stalled one may be resumed
		return
	}
	path := gc.RootRepositories + "/" + at.repository + "/_uploads/" + at.reference
	if err := l.store.Delete(context.WithoutCancel(ctx), path); err != nil && !notFound(err) {
		l.log.Error("remove what an upload left", "path", path, "error", err)
	}
}

// body ends a request's body that is too large, or does not come.
type body struct {
	io.ReadCloser
	limit     func() (int64, *refusal) // asked once, when distribution reads: it has let the client in then
	left      int64                    // -1 for no limit
	tooLarge  *refusal
	stall     time.Duration
	control   *http.ResponseController
	cause     *refusal // why it was ended
	overQuota *refusal // what the storage said to what came of it
}

// bodyKey is by what the storage finds the body in a request's context, which is all that distribution hands down; the
// error it hands up, it replaces by its own.
type bodyKey struct{}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.cause != nil {
		return 0, b.cause
	}
	if b.limit != nil {
		b.left, b.tooLarge = b.limit()
		b.limit = nil
	}
	b.control.SetReadDeadline(time.Now().Add(b.stall))
	n, err := b.ReadCloser.Read(p)
	b.control.SetReadDeadline(time.Time{}) // the storage may take its time
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.cause = errStalled
		return n, b.cause
	}
	if b.left >= 0 {
		if b.left -= int64(n); b.left < 0 {
			b.cause = b.tooLarge
			return 0, b.cause
		}
	}
	return n, err
}
