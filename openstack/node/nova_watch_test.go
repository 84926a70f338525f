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
		if got := (complaints{path: path, of: pid}).last(); got != want {
			t.Errorf("%d: got %q", pid, got)
		}
	}
	since := time.Date(2026, 11, 25, 20, 8, 8, 400_000_000, time.Local) // when another process of that number was begun
	if got := (complaints{path: path, of: 7, since: since}).last(); got != "" {
		t.Errorf("of the process before: got %q", got)
	}
	if got := (complaints{path: path + "-none", of: 7}).last(); got != "" {
		t.Errorf("got %q", got)
	}
}

// What the old process says while it ends is not why the new one did not start.
func TestNoErrorOfTheFormerProcessIsTold(t *testing.T) {
	f := newFake(t, false)
	now := time.Now().Format("2006-01-02 15:04:05.000")
	f.put("/var/log/nova/nova-compute.log", now+" 7 ERROR nova before\n", 0o644)
	f.fail["service nova-compute restart"] = "exit status 1"
	f.ending["nova-compute"] = "2999-01-01 00:00:00.000 7 ERROR nova connection lost\n2001-01-01 00:00:00.000 9 ERROR nova of another year\n"
	_, err := f.setup()
	if err == nil || strings.Contains(err.Error(), "ERROR") {
		t.Errorf("got %v", err)
	}
}

// FuzzComplaints: whatever nova writes to its log, nothing of it makes a terminal do something.
func FuzzComplaints(f *testing.F) {
	f.Add([]byte("2026-11-25 20:08:07.335 7 ERROR nova \x1b[2Jgone\n"))
	f.Add([]byte("7 CRITICAL \xff\xfe ERROR \r\n ERROR "))
	f.Fuzz(func(t *testing.T, log []byte) {
		path := filepath.Join(t.TempDir(), "nova-compute.log")
		check(t, os.WriteFile(path, log, 0o600))
		for _, pid := range []int{0, 7} {
			for _, r := range (complaints{path: path, of: pid}).last() {
				if r < ' ' || r == 0x7f {
					t.Errorf("%q is told", r)
				}
			}
		}
	})
}
