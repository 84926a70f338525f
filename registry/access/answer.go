package access

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/distribution/distribution/v3/registry/auth"
	"github.com/felixge/httpsnoop"
)

// refusal is what a client is told. It is an auth.Challenge because distribution logs those as the client's fault; with
// all other errors it would answer 400 and nothing.
type refusal struct {
	code    errcode.ErrorCode
	message string
	realm   string        // to log in to, if that would help
	retry   time.Duration // after which it may help to come again
}

var _ auth.Challenge = (*refusal)(nil)

func (f *refusal) Error() string { return f.message }

// SetHeaders implements auth.Challenge.
func (f *refusal) SetHeaders(r *http.Request, w http.ResponseWriter) {
	if f.realm != "" {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", f.realm))
	}
	if f.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((f.retry+time.Second-1)/time.Second)))
	}
	if answer, ok := r.Context().Value(answerKey{}).(*answer); ok {
		answer.refusal = f
	}
}

// answer is where a request's refusal is put on its way out of distribution, which has no other way for it.
type answer struct {
	refusal *refusal
	begun   bool
}

type answerKey struct{}

// Answer has clients told why they are refused, in the registry's protocol, where distribution would say 401 to all.
func Answer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{}
		wrapped := httpsnoop.Wrap(w, httpsnoop.Hooks{
			WriteHeader: func(write httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
				return func(status int) {
					if a.refusal == nil {
						write(status)
					}
					a.serve(w)
				}
			},
			Write: func(write httpsnoop.WriteFunc) httpsnoop.WriteFunc {
				return func(body []byte) (int, error) {
					if a.refusal == nil {
						return write(body)
					}
					a.serve(w)
					return len(body), nil
				}
			},
		})
		next.ServeHTTP(wrapped, r.WithContext(context.WithValue(r.Context(), answerKey{}, a)))
	})
}

// serve writes the refusal, if there is one, once.
func (a *answer) serve(w http.ResponseWriter) {
	if a.refusal == nil || a.begun {
		return
	}
	a.begun = true
	errcode.ServeJSON(w, a.refusal.code.WithMessage(a.refusal.message)) // a client that is gone needs no answer
}
