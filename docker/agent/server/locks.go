package server

import (
	"context"
	"sync"
)

// locks are mutexes by key, that can be waited for with a deadline.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	token chan struct{} // holds one element while nobody holds the lock
	users int
}

func newLocks() *locks { return &locks{held: map[string]*lock{}} }

// acquire waits for the key's lock and returns what releases it.
func (l *locks) acquire(ctx context.Context, key string) (release func(), err error) {
	entry := l.enter(key)
	select {
	case <-entry.token:
		return func() { entry.token <- struct{}{}; l.leave(key) }, nil
	case <-ctx.Done():
		l.leave(key)
		return nil, ctx.Err()
	}
}

// try is acquire for those who rather come back later than wait.
func (l *locks) try(key string) (release func(), free bool) {
	entry := l.enter(key)
	select {
	case <-entry.token:
		return func() { entry.token <- struct{}{}; l.leave(key) }, true
	default:
		l.leave(key)
		return nil, false
	}
}

func (l *locks) enter(key string) *lock {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry, ok := l.held[key]
	if !ok {
		entry = &lock{token: make(chan struct{}, 1)}
		entry.token <- struct{}{}
		l.held[key] = entry
	}
	entry.users++
	return entry
}

func (l *locks) leave(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[key].users--; l.held[key].users == 0 {
		delete(l.held, key)
	}
}
