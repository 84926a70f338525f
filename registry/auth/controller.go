// Package auth lets clients in: it is distribution's access controller for any Source of users (a file of logins, or
// Keystone). A check that succeeded is cached for some minutes, because a docker push asks dozens of times, and one
// that failed for some seconds. Guesses of passwords are throttled, without locking out the user who knows the
// password.
package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	distauth "github.com/distribution/distribution/v3/registry/auth"
	"golang.org/x/sync/singleflight"

	"ndock/docker/transfer"
)

// A Source knows the users.
type Source interface {
	// Check tells whose name and password these are; the error is ErrWrong, or why that could not be found out.
	Check(ctx context.Context, user, password string) (Identity, error)
	// Anyone is who comes without a login; nil where nobody may.
	Anyone() Identity
	// Generation changes when what was checked before counts no more.
	Generation() string
}

// An Identity is somebody whom a Source knows.
type Identity interface {
	Name() string
	// May returns nil, a *Denied, or why that could not be found out.
	May(ctx context.Context, want ...distauth.Access) error
	// Expires is when it must be checked again at the latest; zero for whenever.
	Expires() time.Time
}

// ErrWrong is returned for a name and a password that do not belong together.
var ErrWrong = errors.New("wrong user name or password")

// Denied is the error for what a user may not do, with the reason in a sentence for the user.
type Denied struct{ Reason string }

func (d *Denied) Error() string { return d.Reason }

// What is taken from a client. Longer ones are nobody's.
const (
	maxUser     = 255
	maxPassword = 1024
)

// checkTimeout bounds one check, be the source far away.
const checkTimeout = 20 * time.Second

// Controller is a distauth.AccessController.
type Controller struct {
	source   Source
	realm    string
	log      *slog.Logger
	cache    *credentialCache
	throttle *throttle
	inFlight singleflight.Group // the same check, asked for by several requests at once, is done once
}

var _ distauth.AccessController = (*Controller)(nil)

// New returns a controller. Clients show the realm when they ask for a password.
func New(source Source, realm string, log *slog.Logger) *Controller {
	return &Controller{source: source, realm: realm, log: log, cache: newCredentialCache(), throttle: newThrottle()}
}

// Authorized implements distauth.AccessController.
func (c *Controller) Authorized(r *http.Request, want ...distauth.Access) (*distauth.Grant, error) {
	a, _ := r.Context().Value(answerKey{}).(*answer)
	who, err := c.identify(r, len(want) == 0, a)
	if err == nil {
		err = may(r, who, want)
	}
	if err != nil {
		return nil, c.refusal(r, err)
	}
	if a != nil {
		a.who = who
	}
	return &distauth.Grant{User: distauth.UserInfo{Name: who.Name()}}, nil
}

// may returns whether a user may do what a request asks for. A blob that the user may not read cannot be mounted
// either: the request begins an upload instead, as the protocol has it, and the client must send the blob.
func may(r *http.Request, who Identity, want []distauth.Access) error {
	err := who.May(r.Context(), want...)
	var denied *Denied
	if !errors.As(err, &denied) || r.Method != http.MethodPost || !r.Form.Has("mount") {
		return err
	}
	own := slices.DeleteFunc(slices.Clone(want), func(one distauth.Access) bool { return one.Name != want[0].Name })
	if len(own) == len(want) || who.May(r.Context(), own...) != nil {
		return err
	}
	delete(r.Form, "mount") // distribution looks for it there, and nowhere else
	return nil
}

// ErrNoLogin asks the client to log in. An Identity without a login may return it from May.
var ErrNoLogin = errors.New("log in first")

// identify returns who asks. At the registry's root it asks for a login also where none is needed to read: that is
// where clients learn how to log in.
func (c *Controller) identify(r *http.Request, root bool, a *answer) (Identity, error) {
	user, password, given := r.BasicAuth()
	switch {
	case !given || user == "" && password == "":
		return c.anonymous(r, root, a)
	case user == "" || password == "" || len(user) > maxUser || len(password) > maxPassword:
		return nil, ErrWrong
	}
	known, err := c.check(r.Context(), credentials{user: user, password: password, from: transfer.ClientNetwork(r.RemoteAddr)}, a.wantsToken())
	if err == nil {
		c.give(a, known)
		a.remember(known, c.cache)
	}
	return known.who, err
}

// credentials are a name and a password that a client tries, and the client's network.
type credentials struct{ user, password, from string }

// check returns whose credentials these are. With lasting, it asks the source again when the cache would soon drop the
// user.
func (c *Controller) check(ctx context.Context, g credentials, lasting bool) (cacheEntry, error) {
	// Also before the cache, or else passwords could be tried on it without end.
	if wait := c.throttle.wait(g.user, g.from); wait > 0 {
		return cacheEntry{}, &tooMany{wait}
	}
	key := c.cache.key(g.user, g.password, c.source.Generation())
	known, ok := c.cache.get(key)
	switch {
	case ok && known.who == nil:
		return cacheEntry{}, ErrWrong
	case ok && !(lasting && known.left < leastToken):
		return known, nil
	}
	done := c.inFlight.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
		defer cancel()
		return c.askSource(ctx, g, key)
	})
	select {
	case <-ctx.Done():
		return cacheEntry{}, ctx.Err()
	case result := <-done:
		if result.Err != nil && ok && !errors.Is(result.Err, ErrWrong) { // he is still known for a while
			return known, nil
		}
		known, _ := result.Val.(cacheEntry)
		return known, result.Err
	}
}

// askSource asks the source. The attempt counts as failed until it has succeeded, so that many at once are throttled,
// too.
func (c *Controller) askSource(ctx context.Context, g credentials, key string) (cacheEntry, error) {
	attempt, wait := c.throttle.begin(g.user, g.from)
	if wait > 0 {
		return cacheEntry{}, &tooMany{wait}
	}
	if err := transfer.Wait(ctx, attempt.pause); err != nil {
		attempt.forget()
		return cacheEntry{}, err
	}
	who, err := c.source.Check(ctx, g.user, g.password)
	switch {
	case err == nil:
		attempt.succeeded()
		return c.cache.put(key, who), nil
	case errors.Is(err, ErrWrong):
		attempt.failed()
		c.cache.putWrong(key)
		if attempt.slowed {
			c.log.Warn("too many wrong passwords: slowing them down", "user", g.user, "from", g.from)
		}
	default:
		attempt.forget()
	}
	return cacheEntry{}, err
}

// refusal turns an error into what the client is told, and logs what the operator has to mend.
func (c *Controller) refusal(r *http.Request, err error) error {
	var many *tooMany
	var denied *Denied
	switch {
	case errors.Is(err, ErrWrong), errors.Is(err, ErrNoLogin):
		return &refusal{code: errcode.ErrorCodeUnauthorized, message: err.Error(), challenge: c.challenge(r)}
	case errors.As(err, &many):
		return &refusal{code: errcode.ErrorCodeTooManyRequests, message: err.Error(), retry: many.wait}
	case errors.As(err, &denied):
		return &refusal{code: errcode.ErrorCodeDenied, message: err.Error()}
	}
	if user, _, _ := r.BasicAuth(); r.Context().Err() == nil { // or else the client is gone
		c.log.Error("a login could not be checked", "user", user, "from", r.RemoteAddr, "error", err)
	}
	return &refusal{code: errcode.ErrorCodeUnavailable, message: "the login cannot be checked now; try again later, or ask the registry's operator", retry: 10 * time.Second}
}

// tooMany is the error of a client that has tried too many wrong passwords.
type tooMany struct{ wait time.Duration }

func (t *tooMany) Error() string {
	return fmt.Sprintf("too many wrong passwords; try again in %s", (t.wait + time.Second - 1).Truncate(time.Second))
}
