package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	distauth "github.com/distribution/distribution/v3/registry/auth"
)

// fake knows one user, and counts who asks.
type fake struct {
	asked      atomic.Int32
	away       atomic.Bool
	generation string
	anyone     Identity
	gate       chan struct{}
}

func (f *fake) Check(_ context.Context, user, password string) (Identity, error) {
	f.asked.Add(1)
	if f.gate != nil {
		<-f.gate
	}
	switch {
	case f.away.Load():
		return nil, errors.New("ask Keystone: no route to host (req-1)")
	case user != "ci" || password != "right":
		return nil, ErrWrong
	}
	return person{name: user}, nil
}

func (f *fake) Anyone() Identity   { return f.anyone }
func (f *fake) Generation() string { return f.generation }

type person struct {
	name    string
	until   time.Time
	refused error
}

func (p person) Name() string                                      { return p.name }
func (p person) May(_ context.Context, _ ...distauth.Access) error { return p.refused }
func (p person) Expires() time.Time                                { return p.until }

// visitor may not do what is wanted, but log in.
type visitor struct{ person }

func (visitor) May(_ context.Context, want ...distauth.Access) error {
	if len(want) > 0 {
		return ErrNoLogin
	}
	return nil
}

// door is a registry behind a controller, and a clock.
type door struct {
	*fake
	*Controller
	clock time.Time
	log   bytes.Buffer
	want  []distauth.Access
}

func newDoor() *door {
	d := &door{fake: &fake{}, clock: time.Unix(1e9, 0), want: []distauth.Access{{Action: "pull"}}}
	d.Controller = New(d.fake, "site", slog.New(slog.NewTextHandler(&d.log, nil)))
	d.cache.now = func() time.Time { return d.clock }
	d.throttle.now = func() time.Time { return d.clock }
	return d
}

func (d *door) knock(user, password, from string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
	r.RemoteAddr = from
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	return d.ask(r)
}

// ask is answered as distribution does.
func (d *door) ask(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			w.WriteHeader(http.StatusNotFound)
		} else if _, err := d.Authorized(r, d.want...); err != nil {
			err.(distauth.Challenge).SetHeaders(r, w)
			w.WriteHeader(http.StatusUnauthorized)
			w.Write([]byte("distribution's own words"))
		} else {
			w.Write([]byte("{}"))
		}
	})).ServeHTTP(w, r)
	return w
}

func (d *door) answers(t *testing.T, w *httptest.ResponseRecorder, status int, words string) {
	t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), words) {
		t.Errorf("answered %d %s, want %d and %q", w.Code, w.Body, status, words)
	}
}

const here, there = "192.0.2.1:1000", "192.0.2.2:1000"

func TestRemembers(t *testing.T) {
	d := newDoor()
	for range 3 {
		d.answers(t, d.knock("ci", "right", here), 200, "")
		d.answers(t, d.knock("ci", "wrong", here), 401, `{"errors":[{"code":"UNAUTHORIZED","message":"wrong user name or password"}]}`)
	}
	if got := d.asked.Load(); got != 2 {
		t.Errorf("asked %d times, want 2", got)
	}
	d.clock = d.clock.Add(invalidFor)
	d.knock("ci", "wrong", here)
	d.clock = d.clock.Add(validFor)
	d.knock("ci", "right", here)
	if got := d.asked.Load(); got != 4 {
		t.Errorf("asked %d times, want 4", got)
	}
	d.generation = "next"
	d.knock("ci", "right", here)
	if got := d.asked.Load(); got != 5 {
		t.Errorf("asked %d times after all has changed, want 5", got)
	}
}

func TestAsksForALogin(t *testing.T) {
	d := newDoor()
	w := d.knock("", "", here)
	d.answers(t, w, 401, "log in first")
	if got := w.Header().Get("WWW-Authenticate"); got != `Basic realm="site"` {
		t.Errorf("the challenge is %s", got)
	}
	d.anyone = person{}
	d.answers(t, d.knock("", "", here), 200, "")
	d.want = nil
	w = d.knock("", "", here)
	d.answers(t, w, 401, "log in first")
	if got := w.Header().Get("WWW-Authenticate"); got != `Bearer realm="http://example.com/v2/token",service="site"` {
		t.Errorf("the challenge is %s", got)
	}
	d.answers(t, d.knock(strings.Repeat("x", maxUser+1), "right", here), 401, "wrong")
	d.answers(t, d.knock("ci", strings.Repeat("x", maxPassword+1), here), 401, "wrong")
	if d.asked.Load() != 0 {
		t.Error("the source was asked")
	}
}

func TestSaysWhy(t *testing.T) {
	d := newDoor()
	d.anyone = person{refused: &Denied{"repositories of others are not yours"}}
	d.answers(t, d.knock("", "", here), 403, `{"errors":[{"code":"DENIED","message":"repositories of others are not yours"}]}`)
	d.away.Store(true)
	for range 2 * pairLimit { // which are nobody's wrong guesses
		w := d.knock("ci", "right", here)
		d.answers(t, w, 503, `"code":"UNAVAILABLE"`)
		if w.Header().Get("Retry-After") == "" {
			t.Error("it does not say when to come again")
		}
	}
	if log := d.log.String(); !strings.Contains(log, "no route to host (req-1)") || strings.Contains(log, "right") {
		t.Errorf("the log is %s", log)
	}
	d.away.Store(false)
	d.answers(t, d.knock("ci", "right", here), 200, "")
	d.away.Store(true)
	d.answers(t, d.knock("ci", "right", here), 200, "")
}

func TestSlowsDownGuesses(t *testing.T) {
	d := newDoor()
	for i := range pairLimit {
		d.answers(t, d.knock("ci", string(rune('a'+i)), here), 401, "wrong")
	}
	w := d.knock("ci", "z", here)
	d.answers(t, w, 429, `"code":"TOOMANYREQUESTS","message":"too many wrong passwords; try again in 1s"`)
	if got := w.Header().Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After is %q", got)
	}
	d.answers(t, d.knock("ci", "right", here), 429, "")
	d.answers(t, d.knock("ci", "right", there), 200, "") // an attacker locks out nobody else
	d.answers(t, d.knock("ci", "right", here), 429, "")  // nor does another's login let his guesses through
	d.answers(t, d.knock("other", "x", here), 401, "")
	d.clock = d.clock.Add(time.Second)
	d.answers(t, d.knock("ci", "y", here), 401, "")
	d.answers(t, d.knock("ci", "x", here), 429, "again in 2s")
	d.clock = d.clock.Add(2 * time.Second)
	d.answers(t, d.knock("ci", "right", here), 200, "")
	d.answers(t, d.knock("ci", "w", here), 401, "")
	if log := d.log.String(); strings.Count(log, "slowing them down") != 1 {
		t.Errorf("the log is %s", log)
	}
}

// Guesses at once count before they are known to be wrong.
func TestSlowsDownGuessesAtOnce(t *testing.T) {
	d := newDoor()
	d.gate = make(chan struct{})
	var all sync.WaitGroup
	var many atomic.Int32
	for i := range 4 * pairLimit {
		all.Go(func() {
			if d.knock("ci", string(rune('a'+i)), here).Code == 429 {
				if many.Add(1) == 3*pairLimit {
					close(d.gate)
				}
			}
		})
	}
	all.Wait()
	if d.asked.Load() != pairLimit || many.Load() != 3*pairLimit {
		t.Errorf("%d were tried and %d slowed down", d.asked.Load(), many.Load())
	}
}

// A client begins with many requests at once; they are one check.
func TestSameLoginAtOnce(t *testing.T) {
	d := newDoor()
	d.gate = make(chan struct{})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { d.answers(t, d.knock("ci", "right", here), 200, "") })
	}
	close(d.gate)
	all.Wait()
	if got := d.asked.Load(); got > 20 || got < 1 {
		t.Errorf("asked %d times", got)
	}
}

func TestNetworksAreBounded(t *testing.T) {
	d := newDoor()
	for range networkLimit {
		d.knock(fmt.Sprint("user", d.asked.Load()), "x", "[2001:db8::1]:1")
	}
	d.answers(t, d.knock("ci", "right", "[2001:db8::2]:1"), 429, "")
	d.answers(t, d.knock("ci", "right", "[2001:db8:0:1::2]:1"), 200, "")
	d.clock = d.clock.Add(forgetAfter)
	d.answers(t, d.knock("ci", "right", "[2001:db8::2]:1"), 200, "")
	if got := d.throttle.counters.Len(); got > throttleSize {
		t.Errorf("%d tallies", got)
	}
}

// Who has logged in from a network may again, whatever others there guess, also when his password is not remembered any more.
// His own name is guessed at no more often for that.
func TestGuessersDoNotLockOutWhoIsKnownThere(t *testing.T) {
	d := newDoor()
	d.answers(t, d.knock("ci", "right", here), 200, "")
	for range networkLimit {
		d.knock(fmt.Sprint("user", d.asked.Load()), "x", here)
	}
	d.answers(t, d.knock("stranger", "x", here), 429, "")
	d.answers(t, d.knock("ci", "right", here), 200, "")
	for range 12 { // hours
		d.clock = d.clock.Add(time.Hour)
		d.knock("another", "x", here)
	}
	for range networkLimit {
		d.knock(fmt.Sprint("user", d.asked.Load()), "x", here)
	}
	d.answers(t, d.knock("ci", "right", here), 200, "")
	for i := range pairLimit {
		d.answers(t, d.knock("ci", string(rune('a'+i)), here), 401, "")
	}
	d.answers(t, d.knock("ci", "right", here), 429, "")
}

// Who has a /48 of IPv6 has 65536 networks, and no more guesses for that than a site of many users makes.
func TestSitesAreBounded(t *testing.T) {
	d := newDoor()
	d.answers(t, d.knock("ci", "right", "[2001:db8:1:ffff::1]:1"), 200, "")
	for n := range siteLimit {
		d.answers(t, d.knock(fmt.Sprint("user", n), "x", fmt.Sprintf("[2001:db8:1:%x::1]:1", n)), 401, "")
	}
	d.answers(t, d.knock("stranger", "x", "[2001:db8:1:fffe::1]:1"), 429, "")
	d.answers(t, d.knock("ci", "right", "[2001:db8:1:ffff::1]:1"), 200, "")
	d.answers(t, d.knock("stranger", "x", "[2001:db8:2::1]:1"), 401, "")
	d.answers(t, d.knock("stranger", "x", here), 401, "")
}

// However many guess from however many networks, it stays known who has logged in where.
func TestGuessersDropNobody(t *testing.T) {
	b := newThrottle()
	a, _ := b.begin("ci", "192.0.2.1")
	a.succeeded()
	for n := range throttleSize {
		b.begin(fmt.Sprint("user", n), fmt.Sprint("network", n))
	}
	for n := range networkLimit {
		b.begin(fmt.Sprint("user", n), "192.0.2.1")
	}
	if _, wait := b.begin("stranger", "192.0.2.1"); wait == 0 {
		t.Error("a stranger may guess there")
	}
	if _, wait := b.begin("ci", "192.0.2.1"); wait != 0 {
		t.Errorf("who has logged in there waits for %s", wait)
	}
	if b.counters.Len() > throttleSize || b.known.Len() != 1 {
		t.Errorf("%d counters, %d known pairs", b.counters.Len(), b.known.Len())
	}
}

// Right passwords have nobody wait because of wrong ones of long ago, and keep none of these from being forgotten.
func TestRightPasswordsDelayNobody(t *testing.T) {
	b, now := newThrottle(), time.Now()
	b.now = func() time.Time { return now }
	for n := range networkLimit + 3 {
		if a, _ := b.begin(fmt.Sprint("user", n), "192.0.2.1"); a != nil {
			a.failed()
		}
		now = now.Add(longestWait)
	}
	for range 16 {
		now = now.Add(time.Minute)
		a, wait := b.begin("ci", "192.0.2.1")
		if a == nil {
			t.Fatalf("the right password waits for %s", wait)
		}
		a.succeeded()
		if _, wait := b.begin("stranger", "192.0.2.1"); wait > 0 {
			t.Fatalf("a stranger waits for %s after a right password", wait)
		}
	}
}

// Guesses from everywhere at one user make his checks slow, not impossible.
func TestUserUnderAttack(t *testing.T) {
	b := newThrottle()
	for i := range userLimit + 3 {
		if a, wait := b.begin("ci", string(rune('a'+i))); wait != 0 || (a.pause > 0) != (i > userLimit) {
			t.Errorf("attempt %d: %v, %s", i, a, wait)
		}
	}
}

func TestExpiry(t *testing.T) {
	m := newCredentialCache()
	now := time.Unix(1e9, 0)
	m.now = func() time.Time { return now }
	key := m.key("ci", "right")
	m.put(key, person{until: now.Add(time.Minute)})
	if _, known := m.get(key); !known {
		t.Error("forgotten at once")
	}
	now = now.Add(time.Minute)
	if _, known := m.get(key); known {
		t.Error("remembered longer than it counts")
	}
	if m.key("a", "bc") == m.key("ab", "c") || m.key("a") == newCredentialCache().key("a") {
		t.Error("keys are not of their own")
	}
}

// Where anyone may read, clients fetch tokens, with a login or without.
func TestTokens(t *testing.T) {
	d := newDoor()
	fetch := func(user string) (token string, lasts int) {
		t.Helper()
		want := d.want
		d.want = nil // it is the registry's root that answers
		defer func() { d.want = want }()
		r := httptest.NewRequest(http.MethodGet, "/v2/token?service=site&scope=repository:one/web:pull", nil)
		if user != "" {
			r.SetBasicAuth(user, "right")
		}
		var made struct {
			Token   string
			Expires int `json:"expires_in"`
		}
		if w := d.ask(r); w.Code == 200 {
			if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil {
				t.Fatal(err)
			}
		}
		return made.Token, made.Expires
	}
	show := func(token string) int {
		r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		return d.ask(r).Code
	}
	if token, _ := fetch(""); token != "" {
		t.Error("a token where nobody needs one")
	}
	mine, _ := fetch("ci")
	if mine == "" || show(mine) != 401 {
		t.Error("a token is taken where nobody is told to fetch one")
	}
	d.anyone = visitor{}
	theirs, lasts := fetch("")
	if theirs == "" || lasts < 60 || theirs == mine || show(theirs) != 401 || show(mine) != 200 {
		t.Errorf("anyone's %q is answered %d, mine %q is answered %d", theirs, show(theirs), mine, show(mine))
	}
	d.anyone = person{}
	if show(theirs) != 200 || show("") != 200 || show("00") != 401 || show(mine[:len(mine)-2]) != 401 {
		t.Error("tokens are not told apart")
	}
	if token, _ := fetch("eve"); token != "" {
		t.Error("a token for a wrong password")
	}
	d.want = nil
	if show(theirs) != 200 || show("") != 401 {
		t.Error("the registry's root is not for those with a token")
	}
	// It lives longer than Docker thinks, be the login known for a while; and then no more, though its user logs in again.
	d.clock = d.clock.Add(validFor - time.Second)
	old, oldest := theirs, mine
	mine, lasts = fetch("ci")
	if lasts < 60 || d.asked.Load() != 3 || mine == oldest || show(oldest) != 200 || show(mine) != 200 {
		t.Errorf("it lasts %d s, %d were asked for; the first is answered %d, it %d", lasts, d.asked.Load(), show(oldest), show(mine))
	}
	d.clock = d.clock.Add(time.Second)
	if show(old) != 401 || show(oldest) != 401 || show(mine) != 200 {
		t.Errorf("anyone's old token is answered %d, mine %d, the newer %d", show(old), show(oldest), show(mine))
	}
	d.clock = d.clock.Add(-time.Second)
	d.clock = d.clock.Add(validFor - time.Second)
	d.away.Store(true)
	if token, lasts := fetch("ci"); token == "" || lasts != 1 {
		t.Errorf("a known login gets %q for %d s", token, lasts)
	}
	d.clock = d.clock.Add(time.Second)
	if show(mine) != 401 {
		t.Error("an old token is taken")
	}
}

// Whatever stands in the header, only the right password, or a token that was given, lets in.
func FuzzAuthorization(f *testing.F) {
	f.Add("Basic Y2k6cmlnaHQ=")
	f.Add("Basic Y2k6d3Jvbmc=")
	f.Add("Bearer 00")
	f.Add("Bearer ")
	f.Add("basic \x00")
	f.Fuzz(func(t *testing.T, header string) {
		d := newDoor()
		d.anyone = visitor{}
		r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		r.Header.Set("Authorization", header)
		user, password, _ := r.BasicAuth()
		if let, right := d.ask(r).Code == http.StatusOK, user == "ci" && password == "right"; let != right {
			t.Errorf("%q: %t", header, let)
		}
	})
}
