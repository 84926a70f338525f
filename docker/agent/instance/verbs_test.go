package instance_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/instance"
	"ndock/docker/engine/enginetest"
)

// TestAVerbWaitsForAnother, of the same server, and no longer than its own context.
func TestAVerbWaitsForAnother(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	s := newInstances(engine, instance.Options{State: t.TempDir()})
	release := s.Power.Lock(t.Context(), enginetest.ServerID)
	waiting, cancel := context.WithCancel(t.Context())
	cancel()
	for name, verb := range map[string]func(ctx context.Context, uuid string) error{
		"pause":  s.Power.Pause,
		"create": func(ctx context.Context, uuid string) error { return s.Creator.Create(ctx, uuid, agent.Spec{}) },
		"delete": func(ctx context.Context, uuid string) error {
			return s.Remover.Delete(ctx, uuid, nil, instance.KeepNothing)
		},
		"snapshot": func(ctx context.Context, uuid string) error {
			return s.Snapshots.Take(ctx, uuid, func(agent.Image, io.Reader) error { return nil })
		},
		"unplug": func(ctx context.Context, uuid string) error { return s.Ports.Unplug(ctx, uuid, nil) },
	} {
		if err := verb(waiting, enginetest.ServerID); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	engine.WantCalls(t)
	release()
	if err := s.Power.Pause(t.Context(), enginetest.ServerID); err != nil {
		t.Error(err)
	}
}
