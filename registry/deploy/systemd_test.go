package deploy

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"ndock/registry"
	"ndock/registry/internal/registrytest"
)

func TestParseState(t *testing.T) {
	for text, want := range map[string]struct {
		name  string
		since time.Time
	}{
		"ActiveState=active\nSubState=running\nStateChangeTimestamp=Thu 2026-11-26 12:00:03 UTC\n": {Running, time.Date(2026, 11, 26, 12, 0, 3, 0, time.UTC)},
		"ActiveState=activating\nSubState=auto-restart\nStateChangeTimestamp=\n":                   {"restarting", time.Time{}},
		"ActiveState=failed\nSubState=failed\nStateChangeTimestamp=n/a\n":                          {"failed", time.Time{}},
		"ActiveState=inactive\nSubState=dead\n":                                                    {"inactive", time.Time{}},
	} {
		if got := parseState(text); got.name() != want.name || !got.since.Equal(want.since) {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

// Whatever stands in the unit of somebody else, it is not taken for ndock's.
func FuzzParseUnit(f *testing.F) {
	f.Add([]byte("[Service]\nExecStart=/bin/true\n"))
	f.Add([]byte("[Service]\n[X-ndock]\nListen=127.0.0.1:5050\nURL=a=b\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		unit, ok := parseUnit(text)
		if ok != strings.Contains(string(text), "\n[X-ndock]\n") || !ok && unit != (unitFile{}) {
			t.Errorf("%q is %+v, %t", text, unit, ok)
		}
	})
}

func TestRunHere(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	if out, err := runHere(t.Context(), "env"); err != nil || strings.Contains(out, "secret") || !strings.Contains(out, "LC_ALL=C") {
		t.Errorf("%q, %v", out, err)
	}
	_, err := runHere(t.Context(), "sh", "-c", "echo no >&2; echo really >&2; exit 3")
	registrytest.WantError(t, err, "exit status 3: no; really")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runHere(ctx, "sleep", "60"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestDenied(t *testing.T) {
	var hinted *registry.Error
	if err := denied("read it", &fs.PathError{Op: "open", Path: "it", Err: fs.ErrPermission}); !errors.As(err, &hinted) || hinted.Hint() != "run it as root" {
		t.Errorf("error %v", err)
	}
	if err := denied("read it", os.ErrNotExist); os.Geteuid() == 0 && errors.As(err, &hinted) {
		t.Errorf("root is told to be root: %v", err)
	}
}
