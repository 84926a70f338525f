package instance_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/instance"
	"ndock/docker/engine/enginetest"
)

// TestAVerbWaitsForAnother, of the same server, and no longer than its own context.
func TestAVerbWaitsForAnother(t *testing.T) { synctest.Test(t, waitsForAnother) }

func waitsForAnother(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	s := newInstances(engine, instance.Options{State: t.TempDir()})
	release := s.Power.Lock(t.Context(), enginetest.ServerID)
	for name, verb := range map[string]func(ctx context.Context, uuid string) error{
		"pause":  s.Power.Pause,
		"create": func(ctx context.Context, uuid string) error { return s.Creator.Create(ctx, uuid, agent.Spec{}) },
		"delete": func(ctx context.Context, uuid string) error {
			return s.Remover.Delete(ctx, uuid, nil, instance.KeepNothing)
		},
		"snapshot": func(ctx context.Context, uuid string) error {
			return s.Snapshots.Take(ctx, uuid, func(agent.Image, io.Reader) error { return nil })
		},
		"plug":   func(ctx context.Context, uuid string) error { return s.Ports.Plug(ctx, uuid, nil) },
		"unplug": func(ctx context.Context, uuid string) error { return s.Ports.Unplug(ctx, uuid, nil) },
		"detach": func(ctx context.Context, uuid string) error { return s.Ports.Detach(ctx, uuid, firstPort) },
		"attach": func(ctx context.Context, uuid string) error {
			var port agent.VIF
			if err := json.Unmarshal([]byte(vif(firstPort, "bridge")), &port); err != nil {
				return err
			}
			return s.Ports.Attach(ctx, uuid, port, false)
		},
		"start":    s.Power.Start,
		"stop":     func(ctx context.Context, uuid string) error { return s.Power.Stop(ctx, uuid, instance.Stop{}) },
		"restart":  func(ctx context.Context, uuid string) error { return s.Power.Restart(ctx, uuid, 0) },
		"unpause":  s.Power.Unpause,
		"password": func(ctx context.Context, uuid string) error { return s.Passwords.Set(ctx, uuid, agent.Password{}) },
		"backup":   func(ctx context.Context, uuid string) error { return s.Backups.Create(ctx, uuid, instance.Stop{}) },
		"restore":  s.Backups.Restore,
		"discard":  func(ctx context.Context, uuid string) error { return s.Backups.Discard(ctx, uuid, nil) },
	} {
		waiting, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := verb(waiting, enginetest.ServerID); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v", name, err)
		}
		cancel()
	}
	engine.WantCalls(t)
	release()
	if err := s.Power.Pause(t.Context(), enginetest.ServerID); err != nil {
		t.Error(err)
	}
}
