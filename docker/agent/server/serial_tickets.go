package server

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"sync"
	"time"

	"ndock/docker/agent"
)

const (
	ticketsKept = 64               // of a server: the oldest goes for a new one
	nextComes   = 10 * time.Second // how long a proxy takes to connect that was announced
	nextSettles = 500 * time.Millisecond
)

// ticket lets one connection in to a container's console: who shows the path, or, without one, who comes next.
type ticket struct {
	container string
	path      string
	expires   time.Time
}

// tickets are those of one server.
type tickets struct {
	mu      sync.Mutex
	valid   []ticket
	waiting int           // how many came without a path, and are looked at together
	settle  time.Duration // for how long
	spoiled chan struct{} // closed when more came than were announced
}

func newTickets() *tickets {
	return &tickets{settle: nextSettles, spoiled: make(chan struct{})}
}

// add makes a ticket of the kind that is asked for, and returns its path. With none to admit it makes none.
func (t *tickets) add(container, admit string, lifetime time.Duration) (path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch admit {
	case agent.AdmitPath:
		path = "/" + rand.Text() // 128 bits and more
	case agent.AdmitNext:
		lifetime = nextComes
	default:
		return ""
	}
	t.valid = append(t.valid, ticket{container, path, time.Now().Add(lifetime)})
	t.valid = t.valid[max(0, len(t.valid)-ticketsKept):]
	return path
}

// byPath uses a ticket up.
func (t *tickets) byPath(path string) (container string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.take(func(known string) bool {
		return known != "" && subtle.ConstantTimeCompare([]byte(known), []byte(path)) == 1
	})
}

// expectsNext tells whether someone may come in without a path.
func (t *tickets) expectsNext() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.announced() > 0
}

// next uses a ticket up for who came without a path. Nothing tells Nova's proxy from another that lies in wait for
// the moment, but that then two have come where one was announced: so nobody gets in before that had time to show.
func (t *tickets) next(ctx context.Context) (container string, ok bool) {
	spoiled, ok := t.enter()
	if !ok {
		return "", false
	}
	select {
	case <-time.After(t.settle):
	case <-spoiled:
	case <-ctx.Done():
	}
	return t.leave(spoiled)
}

func (t *tickets) enter() (spoiled chan struct{}, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting < t.announced() {
		t.waiting++
		return t.spoiled, true
	}
	if t.waiting > 0 {
		close(t.spoiled)
		t.spoiled, t.waiting = make(chan struct{}), 0
		t.valid = slices.DeleteFunc(t.valid, func(one ticket) bool { return one.path == "" })
	}
	return nil, false
}

func (t *tickets) leave(spoiled chan struct{}) (container string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if spoiled != t.spoiled {
		return "", false
	}
	t.waiting--
	return t.take(isNext)
}

func isNext(path string) bool { return path == "" }

func (t *tickets) announced() int {
	count := 0
	for _, one := range t.valid {
		if one.path == "" && time.Now().Before(one.expires) {
			count++
		}
	}
	return count
}

// take removes what has expired, and the first ticket that fits. The caller holds the lock.
func (t *tickets) take(fits func(path string) bool) (container string, ok bool) {
	kept := t.valid[:0]
	for _, one := range t.valid {
		switch {
		case !time.Now().Before(one.expires):
		case !ok && fits(one.path):
			container, ok = one.container, true
		default:
			kept = append(kept, one)
		}
	}
	t.valid = kept
	return container, ok
}
