package storage

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/distribution/distribution/v3/registry/api/errcode"
)

// A Refusal is an answer with a reason, in the form that clients of registries show to their users.
type Refusal struct {
	Status     int
	Code       errcode.ErrorCode
	Message    string
	RetryAfter int   // seconds
	Resumable  bool  // what came of an upload stays, and the client may go on
	Cause      error // for the log
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
	w.WriteHeader(f.Status)
	w.Write(body)
}
