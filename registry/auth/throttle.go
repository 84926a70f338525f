package auth

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// After how many wrong passwords it gets slow. One network may hold many users, and a proxy many networks.
const (
	pairLimit    = 5    // of one user from one network
	networkLimit = 50   // of all users from one network
	siteLimit    = 1000 // of all users from one site, of IPv6
	userLimit    = 20   // of one user from everywhere
)

const (
	longestWait  = time.Minute
	longestPause = 2 * time.Second
	forgetAfter  = 15 * time.Minute
	trustFor     = 24 * time.Hour // how long others' guesses do not delay a user who has logged in from that network
	throttleSize = 20_000         // counters, and pairs with a right password; the oldest is dropped first
)

// throttle counts wrong passwords. After too many of one user from one network that user has to wait there, twice as long
// each time; after too many of all users from there all have to wait who have not logged in from there of late, since a proxy
// or NAT may be the network of many. The same holds for all networks of one site. After too many of one user from
// everywhere, each check of that user takes a moment longer; it is not refused, because it may be the user who knows the
// password.
type throttle struct {
	now func() time.Time

	mu       sync.Mutex
	counters *simplelru.LRU[throttleKey, *counter]
	known    *simplelru.LRU[throttleKey, time.Time] // when a right password came last, by pairs: wrong ones drop none of these
}

// throttleKey is a user, a network or site, or a pair of user and network.
type throttleKey struct{ user, from string }

// limitsOf returns the counters of an attempt, and the wrong passwords of each after which it gets slow.
func limitsOf(user, from string) map[throttleKey]int {
	all := map[throttleKey]int{{user, from}: pairLimit, {"", from}: networkLimit, {user, ""}: userLimit}
	if site, ok := siteOf(from); ok {
		all[throttleKey{"", site}] = siteLimit
	}
	return all
}

// siteOf returns the /48 of a network of IPv6: who has one has 65536 networks. Other networks are in none.
func siteOf(network string) (string, bool) {
	of, err := netip.ParsePrefix(network)
	if err != nil {
		return "", false
	}
	site, err := of.Addr().Prefix(48)
	return site.String(), err == nil && of.Addr().Is6()
}

type counter struct {
	count int
	last  time.Time
	until time.Time // when the next may come
}

func newThrottle() *throttle {
	b := &throttle{now: time.Now}
	b.counters, _ = simplelru.NewLRU[throttleKey, *counter](throttleSize, nil) // the size is the only thing that can be wrong
	b.known, _ = simplelru.NewLRU[throttleKey, time.Time](throttleSize, nil)
	return b
}

// wait returns how long this user has to wait on that network because of wrong passwords of his own.
func (b *throttle) wait(user, from string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(b.get(throttleKey{user, from}).wait(b.now()), 0)
}

// attempt is a check under way.
type attempt struct {
	throttle   *throttle
	user, from string
	pause      time.Duration // before it
	slowed     bool          // the next will have to wait, unless this one succeeds
}

// begin counts an attempt before its result is known. It returns how long to wait where the attempt is refused.
func (b *throttle) begin(user, from string) (a *attempt, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	pair, limits := throttleKey{user, from}, limitsOf(user, from)
	for of := range limits {
		if of == pair || of.user == "" && !b.isKnown(pair) {
			wait = max(wait, b.get(of).wait(b.now()))
		}
	}
	if wait > 0 {
		return nil, wait
	}
	a = &attempt{throttle: b, user: user, from: from}
	a.pause = min(time.Duration(max(0, b.get(throttleKey{user, ""}).count-userLimit))*100*time.Millisecond, longestPause)
	for of, limit := range limits {
		found := b.get(of)
		b.count(found, 1, limit)
		b.counters.Add(of, found)
		a.slowed = a.slowed || of.from != "" && found.count == limit
	}
	return a, 0
}

// isKnown returns whether that user has logged in on that network of late.
func (b *throttle) isKnown(pair throttleKey) bool {
	right, ok := b.known.Peek(pair)
	return ok && b.now().Sub(right) < trustFor
}

// failed starts the wait now, because the check itself may have taken longer than that.
func (a *attempt) failed() {
	b := a.throttle
	b.mu.Lock()
	defer b.mu.Unlock()
	for of, limit := range limitsOf(a.user, a.from) {
		if found, ok := b.counters.Get(of); ok {
			found.last = b.now()
			b.count(found, 0, limit)
		}
	}
}

// succeeded clears the counter of the user on that network. The network's other counters stay: they may count another's
// guesses.
func (a *attempt) succeeded() {
	a.forget()
	a.throttle.mu.Lock()
	defer a.throttle.mu.Unlock()
	a.throttle.counters.Remove(throttleKey{a.user, a.from})
	a.throttle.known.Add(throttleKey{a.user, a.from}, a.throttle.now())
}

// forget takes the attempt back: the failure was not the client's fault.
func (a *attempt) forget() {
	b := a.throttle
	b.mu.Lock()
	defer b.mu.Unlock()
	for of, limit := range limitsOf(a.user, a.from) {
		b.count(b.get(of), -1, limit)
	}
}

// get returns a counter; a new one where there is none, or where its wrong passwords are too old to matter.
func (b *throttle) get(of throttleKey) *counter {
	found, ok := b.counters.Get(of)
	if !ok || b.now().Sub(found.last) >= forgetAfter {
		return &counter{}
	}
	return found
}

// count has others wait while an attempt is under way (by 1), and counts it no more when it is taken back (by -1): right passwords
// make no wrong ones younger.
func (b *throttle) count(t *counter, by, limit int) {
	if t.count == 0 {
		t.last = b.now()
	}
	from := t.last
	if by > 0 {
		from = b.now()
	}
	t.count = max(0, t.count+by)
	t.until = time.Time{}
	if over := t.count - limit; over >= 0 {
		t.until = from.Add(min(time.Second<<min(over, 10), longestWait))
	}
}

func (t *counter) wait(now time.Time) time.Duration { return t.until.Sub(now) }
