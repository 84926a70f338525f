package commands

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

type advised struct{ error }

func (advised) Hint() string { return "do better" }

// quoting is an error whose hint names something of another's.
type quoting string

func (quoting) Error() string  { return "it broke" }
func (q quoting) Hint() string { return "'ndock logs " + string(q) + "'" }

type silent struct{ cause error }

func (s silent) Error() string { return "try: " + s.cause.Error() }
func (s silent) Unwrap() error { return s.cause }
func (silent) Hint() string    { return "" }

func TestReport(t *testing.T) {
	t.Parallel()
	interrupted, interrupt := context.WithCancel(context.Background())
	interrupt()
	for name, test := range map[string]struct {
		ctx    context.Context
		err    error
		status int
		want   string
	}{
		"nothing":                 {t.Context(), nil, 0, ""},
		"nothing, late":           {interrupted, nil, 0, ""},
		"an error":                {t.Context(), errors.New("it broke"), 1, "ndock: it broke\n"},
		"many lines":              {t.Context(), errors.New("it broke\r\nhere\n"), 1, "ndock: it broke here\n"},
		"others' text":            {t.Context(), errors.New("server \x1b[2J\u202e"), 1, `ndock: server \x1b[2J\u202e` + "\n"},
		"others' text, in a hint": {t.Context(), quoting("\x1b[2J\nndock: all is well"), 1, "ndock: it broke\n" + `hint: 'ndock logs \x1b[2J ndock: all is well'` + "\n"},
		"several, interrupted":    {interrupted, errors.Join(fmt.Errorf("a: %w", context.Canceled), fmt.Errorf("b: %w", context.Canceled)), 130, "ndock: interrupted\n"},
		"a hint":                  {t.Context(), fmt.Errorf("try: %w", advised{errors.New("it broke")}), 1, "ndock: try: it broke\nhint: do better\n"},
		"a cause's hint":          {t.Context(), silent{advised{errors.New("it broke")}}, 1, "ndock: try: it broke\nhint: do better\n"},
		"several":                 {t.Context(), errors.Join(errors.New("one"), errors.New("two")), 1, "ndock: one\nndock: two\n"},
		"causes":                  {t.Context(), fmt.Errorf("%w, for %w", errors.New("one"), errors.New("two")), 1, "ndock: one, for two\n"},
		"misuse":                  {t.Context(), &misuse{message: "NAME is missing", command: "ndock boot"}, 2, "ndock: NAME is missing\nhint: see 'ndock boot --help'\n"},
		"misuse, wrapped":         {t.Context(), fmt.Errorf("x: %w", &misuse{message: "bad", command: "ndock"}), 2, "ndock: x: bad\nhint: see 'ndock --help'\n"},
		"interrupted":             {interrupted, fmt.Errorf("list: %w", context.Canceled), 130, "ndock: interrupted\n"},
		"cancelled by others":     {t.Context(), context.Canceled, 1, "ndock: context canceled\n"},
		"failed, though too late": {interrupted, errors.New("it broke"), 1, "ndock: it broke\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told strings.Builder
			if status := report(test.ctx, &told, test.err); status != test.status || told.String() != test.want {
				t.Errorf("status %d and %q, want %d and %q", status, told.String(), test.status, test.want)
			}
		})
	}
}

// TestInterruptedCleanUpFails: what could not be cleaned up must be said, though the user has interrupted.
func TestInterruptedCleanUpFails(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(context.Background())
	interrupt()
	var told strings.Builder
	status := report(ctx, &told, errors.Join(context.Canceled, errors.New("remove the half-sent image 12: no")))
	if status != 130 || !strings.Contains(told.String(), "remove the half-sent image 12: no") {
		t.Errorf("status %d and %q, want 130 and what is left behind", status, told.String())
	}
}
