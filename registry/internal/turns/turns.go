// Package turns shares out what there is little of, such as memory. Each group has a part of it at most, so that one that wants
// much waits for itself first.
package turns

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// ErrNone is the error of who has waited for too long.
var ErrNone = errors.New("there was no turn in time")

// Turns are those of all groups.
type Turns struct {
	within  time.Duration
	ofGroup int64
	all     *semaphore.Weighted
	lock    sync.Mutex
	groups  map[string]*group
}

type group struct {
	all   *semaphore.Weighted
	users int
}

// New returns turns for so much at a time, of which one group has ofGroup at most. Nobody waits longer than within.
func New(all, ofGroup int64, within time.Duration) *Turns {
	return &Turns{within: within, ofGroup: ofGroup, all: semaphore.NewWeighted(all), groups: map[string]*group{}}
}

// Enter waits until there is as much. The returned function gives it back. The error is ErrNone, or why the context has ended.
func (t *Turns) Enter(ctx context.Context, name string, much int64) (leave func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, t.within, ErrNone)
	defer cancel()
	of := t.group(name)
	if of.all.Acquire(ctx, much) != nil {
		t.done(name, of)
		return nil, context.Cause(ctx)
	}
	if t.all.Acquire(ctx, much) != nil {
		of.all.Release(much)
		t.done(name, of)
		return nil, context.Cause(ctx)
	}
	return func() {
		t.all.Release(much)
		of.all.Release(much)
		t.done(name, of)
	}, nil
}

func (t *Turns) group(name string) *group {
	t.lock.Lock()
	defer t.lock.Unlock()
	of := t.groups[name]
	if of == nil {
		of = &group{all: semaphore.NewWeighted(t.ofGroup)}
		t.groups[name] = of
	}
	of.users++
	return of
}

func (t *Turns) done(name string, of *group) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if of.users--; of.users == 0 {
		delete(t.groups, name)
	}
}
