package metrics

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ndock/docker/agent/agenttest"
)

// scraped is how many values the parts of a scraper send.
func scraped(s *scraper) int { return len(s.collect()) - len(s.parts) - 1 } // their successes, and the duration

// TestAPartThatHangs for ever, whatever its context says, is begun once, and takes no other along.
func TestAPartThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, begun := make(chan struct{}), atomic.Int32{}
		value := gauge(describe("x", "x"), 1)
		hangs := &part{name: "hangs", collect: func(_ context.Context, send send) error {
			begun.Add(1)
			send(value)
			<-release
			return nil
		}}
		works := &part{name: "works", collect: func(_ context.Context, send send) error { send(value); return nil }}
		s := newScraper([]*part{hangs, works}, agenttest.Quiet())
		for n := range 3 {
			began := time.Now()
			if got := scraped(s); got != 1 {
				t.Errorf("there are %d values of one part", got)
			}
			if took := time.Since(began); took > answerLimit || n > 0 && took > 0 {
				t.Errorf("scrape %d took %s", n, took)
			}
		}
		if begun := begun.Load(); begun != 1 {
			t.Errorf("it was begun %d times", begun)
		}
		close(release)
		synctest.Wait()
		if got := scraped(s); got != 2 || begun.Load() != 2 {
			t.Errorf("once it is over: %d values, begun %d times", got, begun.Load())
		}
	})
}

// TestAPartThatGivesUp has what it knows shown.
func TestAPartThatGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gives := &part{name: "gives up", collect: func(ctx context.Context, send send) error {
			send(gauge(describe("x", "x"), 1))
			<-ctx.Done()
			return ctx.Err()
		}}
		if got := scraped(newScraper([]*part{gives}, agenttest.Quiet())); got != 1 {
			t.Errorf("there are %d values", got)
		}
	})
}

// TestABadValue is left out, and the others are there.
func TestABadValue(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newScraper([]*part{{name: "bad", collect: func(_ context.Context, send send) error {
		send(gauge(describe("ndock_bad", "x", "name"), 1, "\xff"))
		return errors.New("bad")
	}}}, agenttest.Quiet()))
	found, err := registry.Gather()
	if err == nil || len(found) != 2 {
		t.Errorf("got %v, %v", found, err)
	}
}
