package console

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
	maxAdmissions = 64               // of a server: the oldest goes for a new one
	nextLifetime  = 10 * time.Second // how long a proxy takes to connect that was announced
	nextWindow    = 500 * time.Millisecond
)

// An admission lets one connection in to a container's console: the one that names the path, or, without a path, the next.
type admission struct {
	container string
	path      string
	expires   time.Time
}

// admissions are those of one server. Use newAdmissions.
type admissions struct {
	mu       sync.Mutex
	valid    []admission
	waiting  int // connections without a path that wait for the end of the window
	window   time.Duration
	conflict chan struct{} // closed when more came than were announced
}

func newAdmissions() *admissions {
	return &admissions{window: nextWindow, conflict: make(chan struct{})}
}

// add makes an admission of the kind that is asked for, and returns its path. With none to admit it makes none.
func (t *admissions) add(container, admit string, lifetime time.Duration) (path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch admit {
	case agent.AdmitPath:
		path = "/" + rand.Text() // 128 bits and more
	case agent.AdmitNext:
		lifetime = nextLifetime
	default:
		return ""
	}
	t.valid = append(t.valid, admission{container, path, time.Now().Add(lifetime)})
	t.valid = t.valid[max(0, len(t.valid)-maxAdmissions):]
	return path
}

// byPath uses up the admission with this path.
func (t *admissions) byPath(path string) (container string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.take(func(known string) bool {
		return known != "" && subtle.ConstantTimeCompare([]byte(known), []byte(path)) == 1
	})
}

// expectsNext tells whether someone may come in without a path.
func (t *admissions) expectsNext() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.announced() > 0
}

// next uses up an admission for a connection without a path. That may be Nova's proxy, or another program there that waits for
// the moment. They look the same; but if both come, two connect where one was announced. So it waits for the window in which a
// second would come, and lets in neither of two.
func (t *admissions) next(ctx context.Context) (container string, ok bool) {
	conflict, ok := t.enter()
	if !ok {
		return "", false
	}
	select {
	case <-time.After(t.window):
	case <-conflict:
	case <-ctx.Done():
	}
	return t.leave(conflict)
}

func (t *admissions) enter() (conflict chan struct{}, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting < t.announced() {
		t.waiting++
		return t.conflict, true
	}
	if t.waiting > 0 {
		close(t.conflict)
		t.conflict, t.waiting = make(chan struct{}), 0
		t.valid = slices.DeleteFunc(t.valid, func(one admission) bool { return one.path == "" })
	}
	return nil, false
}

func (t *admissions) leave(conflict chan struct{}) (container string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if conflict != t.conflict {
		return "", false
	}
	t.waiting--
	return t.take(isNext)
}

func isNext(path string) bool { return path == "" }

func (t *admissions) announced() int {
	count := 0
	for _, one := range t.valid {
		if one.path == "" && time.Now().Before(one.expires) {
			count++
		}
	}
	return count
}

// take removes what has expired, and the first admission that fits. The caller holds the lock.
func (t *admissions) take(fits func(path string) bool) (container string, ok bool) {
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
