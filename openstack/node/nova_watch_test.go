package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// thoughtful takes longer to answer than anyone waits.
type thoughtful struct{ Services }

func (thoughtful) PID(ctx context.Context, _ Service) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func (thoughtful) ReadLog(Service) string { return "the log" }

// TestAServiceManagerThatIsSlow: that the time is up while it thinks is no sign that nova-compute has ended.
func TestAServiceManagerThatIsSlow(t *testing.T) {
	n := &compute{Machine: Machine{Services: thoughtful{}, Patience: Patience{Poll: time.Millisecond, Compute: time.Millisecond}}}
	if err := n.stays(t.Context()); err != nil {
		t.Error(err)
	}
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.stays(interrupted); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// What a process complained about that is no more says nothing of this one.
func TestTheLastErrorOfAProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nova-compute.log")
	text := strings.Repeat("x\n", recent) + "2026-11-25 20:08:07.335 7 ERROR nova first\n2026-11-25 20:08:08.335 7 ERROR nova second\n2026-11-25 20:08:09.335 17 ERROR nova another's\n2026-11-25 20:08:09.335 7 INFO nova fine\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for pid, want := range map[int]string{7: "2026-11-25 20:08:08.335 7 ERROR nova second", 17: "2026-11-25 20:08:09.335 17 ERROR nova another's", 8: ""} {
		if got := lastErrorOf(path, pid); got != want {
			t.Errorf("%d: got %q", pid, got)
		}
	}
	if got := lastErrorOf(path+"-none", 7); got != "" {
		t.Errorf("got %q", got)
	}
}
