package registry

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/distribution/distribution/v3/registry/api/errcode"
)

// A refusal is an answer that says why, in the form that clients of registries show to who runs them.
type refusal struct {
	status     int
	code       errcode.ErrorCode
	message    string
	retryAfter int   // seconds
	resumable  bool  // what came of an upload stays, and the client may go on
	cause      error // for the log
}

func (f *refusal) Error() string { return f.message }

// write answers. Docker shows the message of a 4xx only, and gives up at once on two codes only: DENIED and
// TOOMANYREQUESTS. So these are what is used where trying again would not help, or not yet.
func (f *refusal) write(w http.ResponseWriter) {
	body, err := json.Marshal(errcode.Errors{f.code.WithMessage(f.message)})
	if err != nil {
		http.Error(w, f.message, f.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.retryAfter))
	}
	w.WriteHeader(f.status)
	w.Write(body)
}
