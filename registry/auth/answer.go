package auth

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	distauth "github.com/distribution/distribution/v3/registry/auth"
	"github.com/felixge/httpsnoop"
)

// refusal is what a client is told. It is a distauth.Challenge because distribution logs those as the client's fault; with
// all other errors it would answer 400 and nothing.
type refusal struct {
	code      errcode.ErrorCode
	message   string
	challenge string        // how to log in, if that would help
	retry     time.Duration // after which it may help to come again
}

var _ distauth.Challenge = (*refusal)(nil)

func (f *refusal) Error() string { return f.message }

// SetHeaders implements distauth.Challenge.
func (f *refusal) SetHeaders(r *http.Request, w http.ResponseWriter) {
	if f.challenge != "" {
		w.Header().Set("WWW-Authenticate", f.challenge)
	}
	if f.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((f.retry+time.Second-1)/time.Second)))
	}
	if answer, ok := r.Context().Value(answerKey{}).(*answer); ok {
		answer.refusal = f
	}
}

// answer is where a request's refusal, or the token that it is for, is put on its way out of distribution, which has no
// other way for them.
type answer struct {
	refusal *refusal
	tokens  bool // it is one for a token
	token   *token
	begun   bool
}

type answerKey struct{}

// Answer has clients told why they are refused, in the registry's protocol, where distribution would say 401 to all; and
// it serves tokens.
func Answer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{tokens: r.URL.Path == tokenPath && r.Method == http.MethodGet}
		r = r.WithContext(context.WithValue(r.Context(), answerKey{}, a))
		if a.tokens { // which takes what the registry's root does
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = "/v2/", ""
		}
		next.ServeHTTP(httpsnoop.Wrap(w, a.hooks(w)), r)
	})
}

func (a *answer) hooks(w http.ResponseWriter) httpsnoop.Hooks {
	return httpsnoop.Hooks{
		WriteHeader: func(write httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
			return func(status int) {
				if !a.serve(w) {
					write(status)
				}
			}
		},
		Write: func(write httpsnoop.WriteFunc) httpsnoop.WriteFunc {
			return func(body []byte) (int, error) {
				if a.serve(w) {
					return len(body), nil
				}
				return write(body)
			}
		},
	}
}

// serve writes what there is instead of distribution's answer, once. A client that is gone needs none.
func (a *answer) serve(w http.ResponseWriter) bool {
	instead := a.refusal != nil || a.token != nil
	if !instead || a.begun {
		return instead
	}
	a.begun = true
	w.Header().Del("Content-Length")
	if a.refusal != nil {
		errcode.ServeJSON(w, a.refusal.code.WithMessage(a.refusal.message))
		return true
	}
	a.token.serve(w)
	return true
}
