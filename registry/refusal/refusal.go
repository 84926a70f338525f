// Package refusal has answers with a reason. Distribution lets few errors say why a request failed, so the reason travels
// beside them, in the request's context, and replaces distribution's answer.
package refusal

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"

	"github.com/distribution/distribution/v3/registry/api/errcode"
)

// RetryUploads is after how many seconds a client may ask again for its turn to upload.
const RetryUploads = 10

// Busy refuses to write to an upload that another request writes to.
var Busy = &Refusal{
	Status: http.StatusConflict, Code: errcode.ErrorCodeBlobUploadInvalid, RetryAfter: RetryUploads, Resumable: true,
	Message: "another request is sending to this upload: wait until it has ended",
}

// A Refusal is an answer with a reason, in the form that clients of registries show to their users.
type Refusal struct {
	Status     int
	Code       errcode.ErrorCode
	Message    string
	RetryAfter int    // seconds
	Challenge  string // how to log in; empty where that would not help
	Resumable  bool   // what came of an upload stays, and the client may go on
	Cause      error  // for the log
}

func (f *Refusal) Error() string { return f.Message }

// WriteTo writes the answer. Docker shows the message only of a 4xx, and gives up at once only on DENIED and
// TOOMANYREQUESTS. So these are used where it would not help to try again, or not yet.
func (f *Refusal) WriteTo(w http.ResponseWriter) {
	body, err := json.Marshal(errcode.Errors{f.Code.WithMessage(f.Message)})
	if err != nil {
		http.Error(w, f.Message, f.Status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	if f.Challenge != "" {
		w.Header().Set("WWW-Authenticate", f.Challenge)
	}
	w.WriteHeader(f.Status)
	w.Write(body)
}

// A Record is why one request was refused.
type Record struct {
	lock sync.Mutex
	why  *Refusal
}

type recordKey struct{}

// Context returns ctx with the record in it.
func (r *Record) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, recordKey{}, r)
}

// Why returns the first reason; nil for none.
func (r *Record) Why() *Refusal {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.why
}

// Set records why the request of a context is refused. The first reason counts.
func Set(ctx context.Context, why *Refusal) {
	r, ok := ctx.Value(recordKey{}).(*Record)
	if !ok {
		return
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.why == nil {
		r.why = why
	}
}
