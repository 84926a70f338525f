package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ndock/docker/engine"
	"ndock/docker/engine/enginetest"
)

// TestACallThatIsNotAnswered ends, and says which one it was.
func TestACallThatIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := enginetest.New()
		fake.Hang["ContainerInspect"] = true
		docker := engine.WithDeadlines(fake)
		began := time.Now()
		_, err := docker.ContainerInspect(context.Background(), "x")
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "inspect container x") || time.Since(began) != engine.InspectLimit {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		began = time.Now()
		if _, err := docker.ContainerInspect(ctx, "x"); err == nil || time.Since(began) != time.Second {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
	})
}

// TestAStreamMayLast as long as its reader wants: the limit is for its beginning.
func TestAStreamMayLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		stream, err := engine.BeginWithin(ctx, time.Second, "read", func(ctx context.Context) (context.Context, error) { return ctx, nil })
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if stream.Err() != nil {
			t.Errorf("it ended: %v", context.Cause(stream))
		}
		cancel()
		synctest.Wait()
		if stream.Err() == nil {
			t.Error("it outlasts its reader")
		}
		_, err = engine.BeginWithin(context.Background(), time.Second, "read", func(ctx context.Context) (struct{}, error) { <-ctx.Done(); return struct{}{}, ctx.Err() })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one that does not begin: %v", err)
		}
	})
}
