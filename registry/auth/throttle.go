package auth

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// After how many wrong passwords it gets slow. One network may hold many users, and a proxy many networks.
const (
	pairLimit    = 5  // of one user from one network
	networkLimit = 50 // of all users from one network
	userLimit    = 20 // of one user from everywhere
)

const (
	longestWait  = time.Minute
	longestPause = 2 * time.Second
	forgetAfter  = 15 * time.Minute
	trustFor     = 24 * time.Hour // how long others' guesses do not delay a user who has logged in from that network
	throttleSize = 20_000         // counters; the oldest is dropped first
)

// throttle counts wrong passwords. After too many of one user from one network that user has to wait there, twice as long
// each time; after too many of all users from there all have to wait who have not logged in from there of late, since a proxy
// or NAT may be the network of many. After too many of one user from everywhere, each check of that user takes a moment
// longer; it is not refused, because it may be the user who knows the password.
type throttle struct {
	now func() time.Time

	mu       sync.Mutex
	counters *simplelru.LRU[throttleKey, *counter]
}

// throttleKey is a user, a network, or a pair of them.
type throttleKey struct{ user, from string }

type counter struct {
	count int
	last  time.Time
	until time.Time // when the next may come
	right time.Time // when a right password came last, of a pair
}

func newThrottle() *throttle {
	b := &throttle{now: time.Now}
	b.counters, _ = simplelru.NewLRU[throttleKey, *counter](throttleSize, nil) // the size is the only thing that can be wrong
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
func (b *throttle) begin(user, from string) (*attempt, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	pair, network, everywhere := b.get(throttleKey{user, from}), b.get(throttleKey{"", from}), b.get(throttleKey{user, ""})
	wait := pair.wait(b.now())
	if b.now().Sub(pair.right) >= trustFor {
		wait = max(wait, network.wait(b.now()))
	}
	if wait > 0 {
		return nil, wait
	}
	a := &attempt{throttle: b, user: user, from: from}
	a.pause = min(time.Duration(max(0, everywhere.count-userLimit))*100*time.Millisecond, longestPause)
	b.count(pair, 1, pairLimit)
	b.count(network, 1, networkLimit)
	b.count(everywhere, 1, userLimit)
	b.counters.Add(throttleKey{user, from}, pair)
	b.counters.Add(throttleKey{"", from}, network)
	b.counters.Add(throttleKey{user, ""}, everywhere)
	a.slowed = pair.count == pairLimit || network.count == networkLimit
	return a, 0
}

// failed starts the wait now, because the check itself may have taken longer than that.
func (a *attempt) failed() {
	b := a.throttle
	b.mu.Lock()
	defer b.mu.Unlock()
	for of, limit := range map[throttleKey]int{{a.user, a.from}: pairLimit, {"", a.from}: networkLimit, {a.user, ""}: userLimit} {
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
	a.throttle.counters.Add(throttleKey{a.user, a.from}, &counter{right: a.throttle.now()})
}

// forget takes the attempt back: the failure was not the client's fault.
func (a *attempt) forget() {
	b := a.throttle
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(b.get(throttleKey{a.user, a.from}), -1, pairLimit)
	b.count(b.get(throttleKey{"", a.from}), -1, networkLimit)
	b.count(b.get(throttleKey{a.user, ""}), -1, userLimit)
}

// get returns a counter; a new one where there is none, or where its wrong passwords are too old to matter.
func (b *throttle) get(of throttleKey) *counter {
	found, ok := b.counters.Get(of)
	switch {
	case !ok:
		return &counter{}
	case b.now().Sub(found.last) >= forgetAfter:
		return &counter{right: found.right}
	}
	return found
}

func (b *throttle) count(t *counter, by, limit int) {
	t.count = max(0, t.count+by)
	if by > 0 {
		t.last = b.now()
	}
	t.until = time.Time{}
	if over := t.count - limit; over >= 0 {
		t.until = t.last.Add(min(time.Second<<min(over, 10), longestWait))
	}
}

func (t *counter) wait(now time.Time) time.Duration { return t.until.Sub(now) }
