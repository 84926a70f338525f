package rollback

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"ndock/registry"
)

type reports []string

func (r *reports) Step(format string, args ...any) { *r = append(*r, fmt.Sprintf(format, args...)) }

// All steps are taken though the context has ended, and what failed is in the error, the reports and the hint.
func TestUndo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var done []string
	step := func(name string, err error) Step {
		return Step{Title: name, ByHand: "do " + name, Do: func(ctx context.Context) error {
			done = append(done, name)
			return errors.Join(err, ctx.Err())
		}}
	}
	var said reports
	full := errors.New("no space left")
	cause := &registry.Error{Err: errors.New("it failed"), Help: "try again"}
	err := Undo(ctx, &said, time.Minute, cause, []Step{step("one", nil), step("two", full), step("three", nil)})
	if !slices.Equal(done, []string{"one", "two", "three"}) {
		t.Errorf("%v were done", done)
	}
	if !errors.Is(err, full) || err.Error() != "it failed; and undoing two: no space left" {
		t.Errorf("error %v", err)
	}
	if hint := registry.HintOf(err); hint != "try again; do by hand what is said to be left, or see to what kept it from being done and run the command again" {
		t.Errorf("hint %q", hint)
	}
	if !slices.Equal(said, reports{"undo: two: failed, and is left to do by hand: do two"}) {
		t.Errorf("it said %q", said)
	}
	if err := Undo(ctx, &said, time.Minute, cause, []Step{step("one", nil)}); !errors.Is(err, cause) || err.Error() != "it failed" {
		t.Errorf("error %v", err)
	}
}

// A clean-up stops when the context ends.
func TestRunStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	taken := 0
	one := Step{Do: func(context.Context) error { taken++; cancel(); return nil }}
	failed := Run(ctx, &reports{}, "remove", time.Minute, []Step{one, one})
	if taken != 1 || len(failed) != 1 || !errors.Is(failed[0], context.Canceled) {
		t.Errorf("%d steps were taken, %v", taken, failed)
	}
}
