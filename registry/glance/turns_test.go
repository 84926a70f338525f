package glance

import (
	"net/http"
	"testing"
	"time"

	"ndock/registry/internal/turns"
)

// Who has no turn in time is told to come again.
func TestNoTurn(t *testing.T) {
	r, few := &repository{owner: owner{project: "one"}}, turns.New(1, 1, time.Millisecond)
	leave, err := r.turn(t.Context(), few)
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	if _, err := r.turn(t.Context(), few); answerOf(err).Status != http.StatusServiceUnavailable || answerOf(err).RetryAfter == 0 {
		t.Errorf("got %v", err)
	}
}
