package node

import (
	"context"
	"errors"
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
