package system

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestShellRuns(t *testing.T) {
	t.Setenv("OS_PASSWORD", "secret")
	out, err := Shell{}.Run(t.Context(), "sh", "-c", "pwd; echo ${OS_PASSWORD-none}; echo noise >&2")
	if out != "/\nnone\n" || err != nil {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestShellQuotesWhatFailed(t *testing.T) {
	_, err := Shell{}.Run(t.Context(), "sh", "-c", "echo one; echo two >&2; exit 3")
	if want := `run "sh -c echo one; echo two >&2; exit 3": exit status 3: one; two`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = Shell{}.Run(t.Context(), "ndock-has-no-such-program")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// What fails may be nova's, and say as much as it likes on one line.
func TestShellQuotesLittle(t *testing.T) {
	_, err := Shell{}.Run(t.Context(), "sh", "-c", "head -c 1000000 /dev/zero; echo ' at last'; exit 3")
	if err == nil || len(err.Error()) > 4096 || !strings.HasSuffix(err.Error(), "? at last") {
		t.Errorf("got %.200v", err)
	}
}

func TestShellEndsInTime(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Shell{}.Run(ctx, "sleep", "60")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestShellDoesNotWaitForDaemons(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as daemons are waited for")
	}
	out, err := Shell{}.Run(t.Context(), "sh", "-c", "sleep 20 & echo started")
	if out != "started\n" || err != nil {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestAwait(t *testing.T) {
	busy := errors.New("busy")
	tries := 0
	err := Await(t.Context(), time.Millisecond, time.Minute, func(context.Context) error {
		if tries++; tries < 3 {
			return busy
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Errorf("got %v after %d tries", err, tries)
	}
	err = Await(t.Context(), time.Millisecond, 20*time.Millisecond, func(context.Context) error { return busy })
	if !errors.Is(err, busy) || !strings.HasPrefix(err.Error(), "gave up after 20ms") {
		t.Errorf("got %v", err)
	}
	dead := errors.New("dead")
	if err := Await(t.Context(), time.Hour, time.Hour, func(context.Context) error { return Permanent(dead) }); !errors.Is(err, dead) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Await(ctx, time.Hour, time.Hour, func(context.Context) error { return busy }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// What runs as nova has no terminal of root's, and its output has a limit.
func TestCommandsAreKeptApart(t *testing.T) {
	out, err := Shell{}.Run(t.Context(), "sh", "-c", "head -c 40000000 /dev/zero; cut -d ' ' -f 1,6 /proc/$$/stat >&2")
	if err != nil || len(out) != 16<<20 {
		t.Errorf("got %d bytes, %v", len(out), err)
	}
	_, err = Shell{}.Run(t.Context(), "sh", "-c", `test $(cut -d ' ' -f 6 /proc/$$/stat) = $$ || exit 7; printf '\033[2Jgone' >&2; exit 1`)
	if err == nil || !strings.HasSuffix(err.Error(), "exit status 1: ?[2Jgone") {
		t.Errorf("got %q", err)
	}
}

// TestWhatTakesTooLong names the limit.
func TestWhatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := Control(t.Context(), slowRunner{}, "systemctl", "restart", "docker.service")
		if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "gave up after 3m0s: ") {
			t.Errorf("got %v", err)
		}
	})
}

type slowRunner struct{}

func (slowRunner) Run(ctx context.Context, _ ...string) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}
