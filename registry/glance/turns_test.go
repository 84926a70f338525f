package glance

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// A project that stores many images waits for itself, and not another one for it.
func TestTurns(t *testing.T) {
	all := newTurns(maxStoring, maxStoringOfProject)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var leave []func()
	for range maxStoringOfProject {
		end, err := all.enter(t.Context(), "many")
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, end)
	}
	if len(all.projects["many"].all) != maxStoringOfProject {
		t.Fatal("turns are not counted")
	}
	all.within = time.Millisecond
	if _, err := all.enter(t.Context(), "many"); answerOf(err).Status != http.StatusServiceUnavailable || answerOf(err).RetryAfter == 0 {
		t.Errorf("who has waited for long is told %v", err)
	}
	all.within = turnWithin
	next := make(chan func())
	go func() {
		end, _ := all.enter(t.Context(), "many")
		next <- end
	}()
	end, err := all.enter(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	end()
	if _, err := all.enter(gone, "many"); err == nil {
		t.Error("who is gone has a turn")
	}
	leave[0]()
	(<-next)()
	for _, end := range leave[1:] {
		end()
	}
	if len(all.projects) != 0 || len(all.all) != 0 {
		t.Errorf("%d projects are left, and %d turns", len(all.projects), len(all.all))
	}
}
