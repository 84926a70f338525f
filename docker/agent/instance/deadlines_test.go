package instance_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
	"ndock/docker/agent/server"
	"ndock/docker/engine/enginetest"
	"ndock/docker/ociruntime"
)

// hanging is an engine on which nothing is answered that needs the lock of these containers.
func hanging(engine *enginetest.Engine, names ...string) {
	for _, name := range names {
		for _, id := range []string{name, engine.Containers[name].ID} {
			for _, method := range []string{"ContainerInspect", "ContainerStatsOneShot"} {
				engine.Hang[method+" "+id] = true
			}
		}
	}
}

// TestAContainerThatHangs keeps nobody from the rest of the host.
func TestAContainerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := enginetest.New()
		engine.PutServer(container.StateRunning)
		engine.PutOther("db", nil, 1<<30)
		state, namespaces := t.TempDir(), t.TempDir()
		if err := os.Mkdir(filepath.Join(state, enginetest.ServerID), 0o700); err != nil {
			t.Fatal(err)
		}
		s := newInstances(engine, instance.Options{State: state, Namespaces: namespaces})
		hanging(engine, naming.Container(enginetest.ServerID), "db")
		began := time.Now()
		for _, id := range []string{engine.Containers[naming.Container(enginetest.ServerID)].ID, "0123456789abcdef"} {
			if err := os.WriteFile(filepath.Join(namespaces, id), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		found, err := s.Orphans.List(t.Context())
		if err != nil || len(found) != 1 || found[0].Name != "0123456789abcdef" {
			t.Errorf("orphans: got %v, %v", found, err)
		}
		instances, err := s.Containers.List(t.Context())
		if err != nil || len(instances) != 1 || instances[0].State != agent.Running {
			t.Errorf("servers: got %v, %v", instances, err)
		}
		if took := time.Since(began); took >= agent.ShortTimeout {
			t.Errorf("it took %s", took)
		}
	})
}

// slowDisk is an engine that waits for the disk when a container's file system is unmounted.
type slowDisk struct{ *enginetest.Engine }

// unmount is longer than any flavor's limits on disks should make it, and shorter than the agent waits.
const unmount = 9 * time.Minute

func written(ctx context.Context) error {
	select {
	case <-time.After(unmount):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s slowDisk) ContainerStop(ctx context.Context, id string, options container.StopOptions) error {
	if err := written(ctx); err != nil {
		return err
	}
	return s.Engine.ContainerStop(ctx, id, options)
}

func (s slowDisk) ContainerRemove(ctx context.Context, id string, options container.RemoveOptions) error {
	if err := written(ctx); err != nil {
		return err
	}
	return s.Engine.ContainerRemove(ctx, id, options)
}

// TestTheEndOfAContainerWaitsForTheDisk: what ends a server does not fail because servers have written much, as Nova would have
// one in ERROR that it could not delete.
func TestTheEndOfAContainerWaitsForTheDisk(t *testing.T) {
	for name, verb := range map[string]struct{ method, path string }{
		"delete": {"DELETE", agenttest.ServerPath}, "rebuild": {"DELETE", agenttest.ServerPath + "?keep=ports"}, "revert": {"POST", agenttest.ServerPath + "/restore"},
		"confirm": {"DELETE", agenttest.ServerPath + "/aside"}, "stop": {"POST", agenttest.ServerPath + "/stop?grace=1"},
		"reboot": {"POST", agenttest.ServerPath + "/restart?grace=0"}, "rescue": {"POST", rescuedPath + "/aside?grace=0"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine := enginetest.New()
				engine.PutServer(container.StateRunning)
				engine.Put(naming.Backup(enginetest.ServerID), map[string]string{naming.LabelServer: enginetest.ServerID}, container.StateExited)
				engine.Put(naming.Container(otherID), map[string]string{naming.LabelServer: otherID}, container.StateRunning)
				s := newServer(t, slowDisk{engine}, server.Options{State: t.TempDir(), Namespaces: t.TempDir(), Names: t.TempDir()})
				status, body := askServer(t, s, verb.method, verb.path, "")
				agenttest.WantOK(t, status, body)
			})
		})
	}
}

const rescuedPath = "/v1/instances/" + otherID

// slowStart is an engine whose runtime hangs, and is killed as late as it can be.
type slowStart struct{ *enginetest.Engine }

func (s slowStart) ContainerStart(ctx context.Context, id string, options container.StartOptions) error {
	select {
	case <-time.After(ociruntime.LongestStart):
		return errors.New("the runtime did not end within 1m0s, and was killed")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestAStartByARuntimeThatHangs says so, instead of that the engine did not answer.
func TestAStartByARuntimeThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := enginetest.New()
		engine.PutServer(container.StateExited)
		s := newServer(t, slowStart{engine}, server.Options{State: t.TempDir(), Namespaces: t.TempDir(), Names: t.TempDir()})
		status, body := askServer(t, s, "POST", agenttest.ServerPath+"/start", "")
		if status < 500 || !strings.Contains(body, "and was killed") {
			t.Errorf("got %d, %s", status, body)
		}
	})
}

// TestAnOrphanThatHangs keeps the others from going for a moment only.
func TestAnOrphanThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := enginetest.New()
		first := makeServerDir(t, engine, "00000000-0000-4000-8000-000000000001", instance.AbandonedAfter+time.Minute)
		second := makeServerDir(t, engine, otherID, instance.AbandonedAfter+time.Minute)
		for _, dir := range []string{first, second} { // the bubble's clock is not that of files
			then := time.Now().Add(-instance.AbandonedAfter - time.Minute)
			if err := os.Chtimes(dir, then, then); err != nil {
				t.Fatal(err)
			}
		}
		engine.Hang["ContainerInspect "+naming.Container(filepath.Base(first))] = true
		s := newInstances(engine, instance.Options{State: engine.State, Namespaces: t.TempDir()})
		ctx, cancel := context.WithTimeout(t.Context(), agent.ShortTimeout)
		defer cancel()
		removed, err := s.Orphans.Remove(ctx)
		if err == nil || len(removed) != 1 || removed[0].Name != otherID {
			t.Errorf("removed %v, %v", removed, err)
		}
	})
}
