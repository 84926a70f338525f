package auth

import (
	"net/netip"
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
	brakeSize    = 20_000 // tallies; the oldest is forgotten first
)

// brake counts wrong passwords. Too many of one user from one network, or of all users from there, and that network has
// to wait, twice as long each time. Too many of one user from everywhere, and each further check of his takes a moment
// longer: it is not refused, for he may be the one who knows the password.
type brake struct {
	now func() time.Time

	mu      sync.Mutex
	tallies *simplelru.LRU[tallied, *tally]
}

// tallied is a user, a network, or a pair of them.
type tallied struct{ user, from string }

type tally struct {
	count int
	last  time.Time
	until time.Time // when the next may come
}

func newBrake() *brake {
	b := &brake{now: time.Now}
	b.tallies, _ = simplelru.NewLRU[tallied, *tally](brakeSize, nil) // the size is the only thing that can be wrong
	return b
}

// wait is how long this user has to wait there.
func (b *brake) wait(user, from string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(b.get(tallied{user, from}).wait(b.now()), b.get(tallied{"", from}).wait(b.now()), 0)
}

// attempt is a check under way.
type attempt struct {
	brake      *brake
	user, from string
	pause      time.Duration // before it
	slowed     bool          // the next will have to wait, unless this one succeeds
}

// begin counts an attempt before it is known how it ends.
func (b *brake) begin(user, from string) (*attempt, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	pair, network, everywhere := b.get(tallied{user, from}), b.get(tallied{"", from}), b.get(tallied{user, ""})
	if wait := max(pair.wait(b.now()), network.wait(b.now())); wait > 0 {
		return nil, wait
	}
	a := &attempt{brake: b, user: user, from: from}
	a.pause = min(time.Duration(max(0, everywhere.count-userLimit))*100*time.Millisecond, longestPause)
	b.count(pair, 1, pairLimit)
	b.count(network, 1, networkLimit)
	b.count(everywhere, 1, userLimit)
	b.tallies.Add(tallied{user, from}, pair)
	b.tallies.Add(tallied{"", from}, network)
	b.tallies.Add(tallied{user, ""}, everywhere)
	a.slowed = pair.count == pairLimit || network.count == networkLimit
	return a, 0
}

// failed has the wait begin now: the check may have taken longer than that.
func (a *attempt) failed() {
	b := a.brake
	b.mu.Lock()
	defer b.mu.Unlock()
	for of, limit := range map[tallied]int{{a.user, a.from}: pairLimit, {"", a.from}: networkLimit, {a.user, ""}: userLimit} {
		if found, ok := b.tallies.Get(of); ok {
			found.last = b.now()
			b.count(found, 0, limit)
		}
	}
}

// succeeded clears the user there. What else was wrong from there is not forgotten: it may be another's guesses.
func (a *attempt) succeeded() {
	a.forget()
	a.brake.mu.Lock()
	defer a.brake.mu.Unlock()
	a.brake.tallies.Remove(tallied{a.user, a.from})
}

// forget takes the attempt back: it was not the client's fault.
func (a *attempt) forget() {
	b := a.brake
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(b.get(tallied{a.user, a.from}), -1, pairLimit)
	b.count(b.get(tallied{"", a.from}), -1, networkLimit)
	b.count(b.get(tallied{a.user, ""}), -1, userLimit)
}

// get returns a tally, a new one where there is none or it is too old to matter.
func (b *brake) get(of tallied) *tally {
	if found, ok := b.tallies.Get(of); ok && b.now().Sub(found.last) < forgetAfter {
		return found
	}
	return &tally{}
}

func (b *brake) count(t *tally, by, limit int) {
	t.count = max(0, t.count+by)
	if by > 0 {
		t.last = b.now()
	}
	t.until = time.Time{}
	if over := t.count - limit; over >= 0 {
		t.until = t.last.Add(min(time.Second<<min(over, 10), longestWait))
	}
}

func (t *tally) wait(now time.Time) time.Duration { return t.until.Sub(now) }

// Network is what one person can have all addresses of: one of IPv4, a /64 of IPv6.
func Network(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return ip.String()
	}
	return prefix.String()
}
