package auth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Docker sends nothing at all where it has no login and is asked for a name and a password. Where anyone may read, it is
// told to fetch a token instead, which it also does without a login. Names and passwords are taken there all the same.

// tokenPath is where a token is fetched. No repository has this path: those have more after their names.
const tokenPath = "/v2/token"

// leastToken is the shortest life of a token: Docker refuses to use one for less than a minute.
const leastToken = 90 * time.Second

// token is a key of the credential cache for a while. What was checked for it may be known for longer, and is when its user logs in
// again: a token that somebody has found in a log ends all the same.
type token struct {
	text string // nobody can make it who has not the cache's secret
	left time.Duration
}

func (a *answer) wantsToken() bool { return a != nil && a.tokens }

// give gives a token to a client that has asked for one.
func (c *Controller) give(a *answer, known cacheEntry) {
	if a.wantsToken() {
		a.token = &token{c.cache.seal(known.key, known.left), known.left}
	}
}

// anonymous returns who asks without a name and a password: the bearer of a token, or anyone.
func (c *Controller) anonymous(r *http.Request, root bool, a *answer) (Identity, error) {
	anyone := c.source.Anyone()
	if anyone == nil {
		return nil, ErrNoLogin
	}
	key := c.cache.key("anyone")
	if a.wantsToken() {
		c.give(a, cacheEntry{key: key, left: validFor})
		return anyone, nil
	}
	shown, given := bearer(r)
	switch {
	case !given && root:
		return nil, ErrNoLogin
	case !given:
		return anyone, nil
	}
	stands, ok := c.cache.open(shown)
	if ok && stands == key {
		return anyone, nil
	}
	if known, there := c.cache.get(stands); ok && there && known.who != nil {
		return known.who, nil
	}
	return nil, ErrNoLogin // the token is old: the client fetches another one
}

func bearer(r *http.Request) (text string, given bool) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return text, strings.EqualFold(scheme, "Bearer") && text != ""
}

// challenge returns how a client is to log in. The URL is the one that the client used, which may be one of several.
func (c *Controller) challenge(r *http.Request) string {
	if c.source.Anyone() == nil {
		return fmt.Sprintf("Basic realm=%q", c.realm)
	}
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if proto := r.Header.Get("X-Forwarded-Proto"); proto == "http" || proto == "https" {
		scheme = proto
	}
	if forwarded := r.Header.Get("X-Forwarded-Host"); forwarded != "" {
		host = forwarded
	}
	return fmt.Sprintf("Bearer realm=%q,service=%q", scheme+"://"+host+tokenPath, c.realm)
}

func (t *token) serve(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(map[string]any{ // a client that is gone needs none
		"token": t.text, "access_token": t.text, "expires_in": int(t.left.Seconds()), "issued_at": time.Now().UTC().Format(time.RFC3339),
	})
}
