package commands

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// Setup does not wait for ever for an agent that takes a request and does not answer.
func TestAnAgentThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "agent.sock")
	listener, err := net.Listen("unix", socket) // whoever connects is never accepted
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := (orphans{socket: socket, limit: time.Millisecond}).Remove(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
