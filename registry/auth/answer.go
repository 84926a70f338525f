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

// refusal is what a client is told. It implements distauth.Challenge because distribution logs a challenge as the
// client's fault; of any other error it makes a 400 without a body.
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

// answer takes a refusal or a token of a request out of distribution, which hands neither up.
type answer struct {
	refusal *refusal
	tokens  bool // it is one for a token
	token   *token
	begun   bool
	who     Identity   // whom the controller has let in
	known   cacheEntry // the login in the cache; empty for nobody's
	cache   *credentialCache
}

type answerKey struct{}

// IdentityOf returns who was let in with the request of a context; nil where nobody was.
func IdentityOf(ctx context.Context) Identity {
	if a, ok := ctx.Value(answerKey{}).(*answer); ok {
		return a.who
	}
	return nil
}

// Forget has the login of a request checked anew when it comes again, because what it was good for has ended. It returns false
// if that was done already, a moment ago, and did not help.
func Forget(ctx context.Context) bool {
	a, ok := ctx.Value(answerKey{}).(*answer)
	return !ok || a.known.key == "" || a.cache.forget(a.known.key, a.known.since)
}

func (a *answer) remember(known cacheEntry, in *credentialCache) {
	if a != nil {
		a.known, a.cache = known, in
	}
}

// Answer tells clients why they are refused, in the registry's protocol, where distribution would answer 401 to all of
// them. It also serves tokens.
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

// serve writes, once, what replaces distribution's answer.
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
