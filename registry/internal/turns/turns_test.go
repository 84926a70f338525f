package turns

import (
	"context"
	"errors"
	"testing"
	"time"
)

func enter(t *testing.T, all *Turns, name string, much int64) func() {
	t.Helper()
	leave, err := all.Enter(t.Context(), name, much)
	if err != nil {
		t.Fatal(err)
	}
	return leave
}

// A group that takes much is refused more after a while, and others are when there is no more.
func TestNoTurns(t *testing.T) {
	all := New(6, 4, time.Millisecond)
	many, other := enter(t, all, "many", 4), enter(t, all, "other", 2)
	for _, name := range []string{"many", "other", "third"} {
		if _, err := all.Enter(t.Context(), name, 1); !errors.Is(err, ErrNone) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	many()
	other()
	if len(all.groups) != 0 || !all.all.TryAcquire(6) {
		t.Errorf("%d groups are left, or turns are not given back", len(all.groups))
	}
}

// A group that takes much waits for itself, and another one not for it. Who is gone does not wait.
func TestTurnsAreWaitedFor(t *testing.T) {
	all := New(6, 4, time.Minute)
	leave, next := enter(t, all, "many", 4), make(chan func())
	go func() {
		end, _ := all.Enter(t.Context(), "many", 1)
		next <- end
	}()
	enter(t, all, "other", 2)()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all.Enter(gone, "many", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("who is gone is told %v", err)
	}
	leave()
	(<-next)()
	if len(all.groups) != 0 {
		t.Errorf("%d groups are left", len(all.groups))
	}
}
