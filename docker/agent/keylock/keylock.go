// Package keylock has mutexes by key, which can be waited for with a deadline.
package keylock

import (
	"context"
	"sync"
)

// Locks are mutexes by key. Use New.
type Locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	token chan struct{} // holds one element while nobody holds the lock
	users int
}

// New returns locks of which nobody holds any.
func New() *Locks { return &Locks{held: map[string]*lock{}} }

// Acquire waits for the key's lock and returns what releases it, or the context's error where that is done first.
func (l *Locks) Acquire(ctx context.Context, key string) (release func(), err error) {
	entry := l.enter(key)
	select {
	case <-entry.token:
		return func() { entry.token <- struct{}{}; l.leave(key) }, nil
	case <-ctx.Done():
		l.leave(key)
		return nil, ctx.Err()
	}
}

// Try is Acquire without waiting: free tells whether nobody held the lock.
func (l *Locks) Try(key string) (release func(), free bool) {
	entry := l.enter(key)
	select {
	case <-entry.token:
		return func() { entry.token <- struct{}{}; l.leave(key) }, true
	default:
		l.leave(key)
		return nil, false
	}
}

func (l *Locks) enter(key string) *lock {
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

func (l *Locks) leave(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[key].users--; l.held[key].users == 0 {
		delete(l.held, key)
	}
}
