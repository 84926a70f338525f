package auth

import (
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Docker sends nothing at all where it has no login and is asked for a name and a password. Where anyone may read, it is
// told to fetch a token instead, which it also does without a login. Names and passwords are taken there all the same.

// tokenPath is where. No repository has it: theirs have more behind their names.
const tokenPath = "/v2/token"

// leastToken is how long a token lives at least: Docker takes none to live shorter than a minute.
const leastToken = 90 * time.Second

// token stands for what the memory has: it is the key there, which nobody can make who has not the memory's secret.
type token struct {
	key  string
	left time.Duration
}

func (a *answer) wantsToken() bool { return a != nil && a.tokens }

// give gives a token to who has asked for one.
func (a *answer) give(known remembered) {
	if a.wantsToken() {
		a.token = &token{known.key, known.left}
	}
}

// stranger is somebody without a name and a password: he may have a token, or fetch one.
func (c *Controller) stranger(r *http.Request, root bool, a *answer) (Identity, error) {
	anyone := c.source.Anyone()
	if anyone == nil {
		return nil, ErrNoLogin
	}
	key := c.memory.key("anyone")
	if a.wantsToken() {
		a.give(remembered{key: key, left: rightFor})
		return anyone, nil
	}
	shown, given := bearer(r)
	switch {
	case !given && root:
		return nil, ErrNoLogin
	case !given, subtle.ConstantTimeCompare([]byte(shown), []byte(key)) == 1:
		return anyone, nil
	}
	if known, ok := c.memory.recall(shown); ok && known.who != nil {
		return known.who, nil
	}
	return nil, ErrNoLogin // the token is old: the client fetches another one
}

func bearer(r *http.Request) (key string, given bool) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	raw, err := hex.DecodeString(text)
	return string(raw), err == nil && len(raw) > 0
}

// challenge is how a client is to log in. The URL is that by which the client has come, for it may be one of many.
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
	text := hex.EncodeToString([]byte(t.key))
	json.NewEncoder(w).Encode(map[string]any{ // a client that is gone needs none
		"token": text, "access_token": text, "expires_in": int(t.left.Seconds()), "issued_at": time.Now().UTC().Format(time.RFC3339),
	})
}
