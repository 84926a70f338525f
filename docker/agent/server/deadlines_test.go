package server

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
)

// TestACallThatIsNotAnswered ends, and says which one it was.
func TestACallThatIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := newEngine()
		engine.hang["ContainerInspect"] = true
		docker := New(t.Context(), engine, Options{State: t.TempDir()}, quiet()).docker
		began := time.Now()
		_, err := docker.ContainerInspect(context.Background(), "x")
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "inspect container x") || time.Since(began) != lookLimit {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		began = time.Now()
		if _, err := docker.ContainerInspect(ctx, "x"); err == nil || time.Since(began) != time.Second {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
	})
}

// TestAStreamMayLast as long as its reader wants: the limit is for its beginning.
func TestAStreamMayLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		stream, err := beginWithin(ctx, time.Second, "read", func(ctx context.Context) (context.Context, error) { return ctx, nil })
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if stream.Err() != nil {
			t.Errorf("it ended: %v", context.Cause(stream))
		}
		cancel()
		synctest.Wait()
		if stream.Err() == nil {
			t.Error("it outlasts its reader")
		}
		_, err = beginWithin(context.Background(), time.Second, "read", func(ctx context.Context) (struct{}, error) { <-ctx.Done(); return struct{}{}, ctx.Err() })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one that does not begin: %v", err)
		}
	})
}

// hanging is an engine on which nothing is answered that needs the lock of these containers.
func hanging(engine *engine, names ...string) {
	for _, name := range names {
		for _, id := range []string{name, engine.containers[name].ID} {
			for _, method := range []string{"ContainerInspect", "ContainerStatsOneShot"} {
				engine.hang[method+" "+id] = true
			}
		}
	}
}

// TestAContainerThatHangs keeps nobody from the rest of the host.
func TestAContainerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := newEngine()
		engine.putServer(container.StateRunning)
		engine.foreigner("db", nil, 1<<30)
		engine.foreigner("mq", nil, 2<<30)
		s := New(t.Context(), engine, Options{State: t.TempDir(), Holders: t.TempDir()}, quiet())
		if got, err := s.foreignMemory(t.Context(), 8<<30); err != nil || got != 3<<30 {
			t.Fatalf("got %d, %v", got, err)
		}
		hanging(engine, namePrefix+serverID, "db")
		began := time.Now()
		if got, err := s.foreignMemory(t.Context(), 8<<30); err != nil || got != 3<<30 {
			t.Errorf("the memory of others: got %d, %v", got, err)
		}
		for _, id := range []string{engine.containers[namePrefix+serverID].ID, "0123456789abcdef"} {
			if err := os.WriteFile(filepath.Join(s.holders, id), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		found, err := s.orphans(t.Context())
		if err != nil || len(found) != 1 || found[0].Name != "0123456789abcdef" {
			t.Errorf("orphans: got %v, %v", found, err)
		}
		instances, err := s.instances(t.Context())
		if err != nil || len(instances) != 1 || instances[0].State != agent.Running {
			t.Errorf("servers: got %v, %v", instances, err)
		}
		if took := time.Since(began); took >= quick {
			t.Errorf("it took %s", took)
		}
	})
}

// slowDisk is an engine that waits for the disk when a container's file system is unmounted.
type slowDisk struct{ *engine }

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
	return s.engine.ContainerStop(ctx, id, options)
}

func (s slowDisk) ContainerRemove(ctx context.Context, id string, options container.RemoveOptions) error {
	if err := written(ctx); err != nil {
		return err
	}
	return s.engine.ContainerRemove(ctx, id, options)
}

// TestTheEndOfAContainerWaitsForTheDisk: what ends a server does not fail because servers have written much, as Nova would have
// one in ERROR that it could not delete.
func TestTheEndOfAContainerWaitsForTheDisk(t *testing.T) {
	for name, verb := range map[string]struct{ method, path string }{
		"delete": {"DELETE", serverPath}, "rebuild": {"DELETE", serverPath + "?keep=ports"}, "revert": {"POST", serverPath + "/restore"},
		"confirm": {"DELETE", serverPath + "/aside"}, "stop": {"POST", serverPath + "/stop?grace=1"},
		"reboot": {"POST", serverPath + "/restart?grace=0"}, "rescue": {"POST", rescuedPath + "/aside?grace=0"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine := newEngine()
				engine.putServer(container.StateRunning)
				engine.put(asideName(serverID), map[string]string{labelServer: serverID}, container.StateExited)
				engine.put(namePrefix+otherID, map[string]string{labelServer: otherID}, container.StateRunning)
				s := New(t.Context(), slowDisk{engine}, Options{State: t.TempDir(), Holders: t.TempDir(), Names: t.TempDir()}, quiet())
				status, body := askServer(t, s, verb.method, verb.path, "")
				wantOK(t, status, body)
			})
		})
	}
}

const rescuedPath = "/v1/instances/" + otherID

// TestAnOrphanThatHangs keeps the others from going for a moment only.
func TestAnOrphanThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := newEngine()
		first := makeServerDir(t, engine, "00000000-0000-4000-8000-000000000001", patience+time.Minute)
		second := makeServerDir(t, engine, otherID, patience+time.Minute)
		for _, dir := range []string{first, second} { // the bubble's clock is not that of files
			then := time.Now().Add(-patience - time.Minute)
			if err := os.Chtimes(dir, then, then); err != nil {
				t.Fatal(err)
			}
		}
		engine.hang["ContainerInspect "+namePrefix+filepath.Base(first)] = true
		s := New(t.Context(), engine, Options{State: engine.state, Holders: t.TempDir()}, quiet())
		ctx, cancel := context.WithTimeout(t.Context(), quick)
		defer cancel()
		removed, err := s.removeOrphans(ctx)
		if err == nil || len(removed) != 1 || removed[0].Name != otherID {
			t.Errorf("removed %v, %v", removed, err)
		}
	})
}
