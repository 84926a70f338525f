package keylock

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func (l *Locks) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}

func TestLocksExclude(t *testing.T) {
	locks := New()
	var inside, most atomic.Int32
	counter := 0 // the race detector sees when two are inside at once
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			release, err := locks.Acquire(context.Background(), "server")
			if err != nil {
				t.Error(err)
				return
			}
			most.Store(max(most.Load(), inside.Add(1)))
			counter++
			inside.Add(-1)
			release()
		})
	}
	all.Wait()
	if counter != 50 || most.Load() != 1 {
		t.Errorf("%d were inside, %d of them at once", counter, most.Load())
	}
	if locks.count() != 0 {
		t.Errorf("%d locks stay behind", locks.count())
	}
}

func TestLocksAreByKey(t *testing.T) {
	locks := New()
	for _, key := range []string{"one", "two"} { // the second would wait forever
		release, err := locks.Acquire(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
	}
	if locks.count() != 2 {
		t.Errorf("%d locks are held", locks.count())
	}
}

func TestLockWaitsNoLongerThanItsContext(t *testing.T) {
	locks := New()
	release, err := locks.Acquire(t.Context(), "server")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := locks.Acquire(ctx, "server"); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	release()
	if locks.count() != 0 {
		t.Errorf("%d locks stay behind", locks.count())
	}
	again, err := locks.Acquire(t.Context(), "server") // who gave up took nothing with him
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestTryDoesNotWait(t *testing.T) {
	locks := New()
	release, free := locks.Try("server")
	if !free {
		t.Fatal("nobody has it")
	}
	if _, free := locks.Try("server"); free {
		t.Error("two have it")
	}
	release()
	if locks.count() != 0 {
		t.Errorf("%d locks stay behind", locks.count())
	}
}
