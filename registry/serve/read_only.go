package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"ndock/registry"
)

// retryAfter is when a client may try again what was refused while the lock was held.
const retryAfter = 10 * time.Second

// readOnlyLock keeps requests that write out while it is held. Requests that only read always pass.
type readOnlyLock struct {
	mu        sync.Mutex
	locked    bool
	writers   int           // requests under way that write
	idle      chan struct{} // closed when the last of them has ended while the lock is held
	interrupt func()        // ends the bodies that are still to come
}

// wrap answers 503 to requests that write, while the lock is held.
func (l *readOnlyLock) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		if !l.enter() {
			w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
			errcode.ServeJSON(w, errcode.ErrorCodeUnavailable.WithMessage("the registry collects garbage and can be read only: try again in a minute")) // a client that is gone is no matter
			return
		}
		defer l.leave()
		next.ServeHTTP(w, r)
	})
}

func (l *readOnlyLock) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.locked {
		l.writers++
	}
	return !l.locked
}

func (l *readOnlyLock) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writers--; l.locked && l.writers == 0 {
		close(l.idle)
	}
}

// lockWriters takes the lock, and waits until no request writes any more. After half of the time it cuts off those that
// still send: a slow client could hold up a collection for ever. After an error the lock is not held.
func (l *readOnlyLock) lockWriters(ctx context.Context, wait time.Duration) error {
	idle, err := l.begin()
	if err != nil {
		return err
	}
	limit := time.NewTimer(wait)
	defer limit.Stop()
	select {
	case <-idle:
		return nil
	default: // asked by itself, for with a wait of 0 the limit is reached as well
	}
	if wait > 0 {
		defer time.AfterFunc(wait/2, l.interrupt).Stop()
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		l.unlock()
		return ctx.Err()
	case <-limit.C:
		return &registry.Error{Err: fmt.Errorf("pushes are still under way after %s (%d requests)", wait, l.unlock()), Help: "try again later, or wait longer with --wait"}
	}
}

func (l *readOnlyLock) begin() (idle <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.locked {
		return nil, errors.New("another collection is under way")
	}
	l.locked, l.idle = true, make(chan struct{})
	if l.writers == 0 {
		close(l.idle)
	}
	return l.idle, nil
}

// unlock releases the lock, and returns how many requests still write.
func (l *readOnlyLock) unlock() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.locked = false
	return l.writers
}
