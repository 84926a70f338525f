package instance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/agent/diskspace"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
	"ndock/docker/agent/runtimes"
	"ndock/docker/archive"
	"ndock/docker/engine/enginetest"
)

const huge = 1 << 43 // bytes: more than any disk that tests run on, and less than ext4's largest file

// withFiles has the server's container have its files in a directory, and returns that.
func withFiles(t *testing.T, engine *enginetest.Engine, name string) string {
	t.Helper()
	dir := t.TempDir()
	found := engine.Containers[name]
	found.GraphDriver.Name, found.GraphDriver.Data = "overlay2", map[string]string{"UpperDir": dir}
	engine.Containers[name] = found
	return dir
}

// hole makes a file that takes nothing of the disk, and says that it has this size.
func hole(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// wantNoCommit checks that nothing was made, that nothing stays, and that the server runs.
func wantNoCommit(t *testing.T, engine *enginetest.Engine, name string) {
	t.Helper()
	if slices.ContainsFunc(engine.Called(), func(call string) bool { return strings.HasPrefix(call, "ContainerCommit") }) {
		t.Errorf("Docker was asked for: %q", engine.Called())
	}
	if left := records(t, engine); len(left) > 0 {
		t.Errorf("recorded is %v", left)
	}
	if state := engine.Containers[name].State; !state.Running || state.Paused {
		t.Errorf("the server is %s", state.Status)
	}
}

// TestASparseFile is copied by Docker with its holes: no image is made of a server whose files say to be larger than the disk.
func TestASparseFile(t *testing.T) {
	name := naming.Container(enginetest.ServerID)
	for _, path := range []string{"/snapshot", "/commit", "/aside?grace=0&commit=true", "/stop?grace=0&commit=true"} {
		t.Run(path, func(t *testing.T) {
			engine := enginetest.New()
			engine.PutServer(container.StateRunning)
			hole(t, filepath.Join(withFiles(t, engine, name), "x"), huge)
			status, body := ask(t, engine, "POST", agenttest.ServerPath+path, "")
			agenttest.WantFault(t, status, body, 400, agent.BadRequest)
			if !strings.Contains(body, "there is no room on this host for an image of the server's files") || !strings.Contains(body, "Sparse files count") {
				t.Errorf("it says %s", body)
			}
			wantNoCommit(t, engine, name)
		})
	}
}

// TestASparseFileOfABackup: a resize on the host makes a container of it, and a migration sends it.
func TestASparseFileOfABackup(t *testing.T) {
	engine := withBackup(t)
	hole(t, filepath.Join(withFiles(t, engine, naming.Backup(enginetest.ServerID)), "x"), huge)
	status, body := create(t, engine, agent.FromBackup)
	agenttest.WantFault(t, status, body, 400, agent.BadRequest)
	status, body = ask(t, engine, "POST", snapshotPath, "")
	agenttest.WantFault(t, status, body, 400, agent.BadRequest)
	wantContainers(t, engine, "ndock-ID-aside")
	if left := records(t, engine); len(left) > 0 || slices.Contains(engine.Called(), "ContainerCommit pause=false") {
		t.Errorf("recorded is %v, and Docker was asked for %q", left, engine.Called())
	}
}

// growing is an engine whose container makes a file larger at the last moment before it is paused.
type growing struct {
	*enginetest.Engine
	grow func()
}

func (g growing) ContainerPause(ctx context.Context, id string) error {
	g.grow()
	return g.Engine.ContainerPause(ctx, id)
}

// TestAFileThatGrows before the processes are paused is measured as it is then.
func TestAFileThatGrows(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	dir := withFiles(t, engine, naming.Container(enginetest.ServerID))
	s := newInstances(growing{engine, func() { hole(t, filepath.Join(dir, "x"), huge) }}, instance.Options{State: agenttest.StateOf(t, engine)})
	err := s.Snapshots.Commit(t.Context(), enginetest.ServerID, naming.Container(enginetest.ServerID))
	if agent.CodeOf(err) != agent.BadRequest {
		t.Errorf("got %v", err)
	}
	wantNoCommit(t, engine, naming.Container(enginetest.ServerID))
}

// TestSizesOfTheEngine are asked for where only Docker knows a container's files. What it says may be no size.
func TestSizesOfTheEngine(t *testing.T) {
	name := naming.Container(enginetest.ServerID)
	for size, want := range map[int64]string{4096: "", 0: "", -1: "cannot tell the size of them", math.MinInt64: "cannot tell the size of them", huge: "there is no room", math.MaxInt64: "there is no room"} {
		for _, driver := range []string{"btrfs", "io.containerd.snapshotter.v1"} {
			t.Run(fmt.Sprintf("%s %d", driver, size), func(t *testing.T) {
				engine := enginetest.New()
				engine.SystemInfo.Driver, engine.SystemInfo.DriverStatus = driver, [][2]string{{"driver-type", driver}}
				engine.PutServer(container.StateRunning)
				engine.Sizes = map[string]int64{name: size}
				s := newInstances(engine, instance.Options{State: agenttest.StateOf(t, engine)})
				err := s.Snapshots.Commit(t.Context(), enginetest.ServerID, engine.Containers[name].ID)
				if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("got %v", err)
				}
				if want != "" {
					wantNoCommit(t, engine, name)
				}
			})
		}
	}
}

// slowly is an engine whose commits call during.
type slowly struct {
	*enginetest.Engine
	during func(ctx context.Context) error
}

func (s *slowly) ContainerCommit(ctx context.Context, id string, options container.CommitOptions) (container.CommitResponse, error) {
	if err := s.during(ctx); err != nil {
		return container.CommitResponse{}, err
	}
	return s.Engine.ContainerCommit(ctx, id, options)
}

// TestACommitWhoseCallerIsGone goes on in Docker: until it ends the space stays reserved, and the processes stay paused.
func TestACommitWhoseCallerIsGone(t *testing.T) {
	engine := &slowly{Engine: enginetest.New()}
	engine.PutServer(container.StateRunning)
	name := naming.Container(enginetest.ServerID)
	hole(t, filepath.Join(withFiles(t, engine.Engine, name), "x"), 1<<20)
	space := diskspace.New(0)
	s := instance.New(engine, instance.Options{State: agenttest.StateOf(t, engine), Runtimes: runtimes.New(config.Default()), Space: space}, agenttest.Quiet())
	ctx, gone := context.WithCancel(t.Context())
	engine.during = func(during context.Context) error {
		gone()
		if want := (diskspace.Space{Bytes: 1<<20 + archive.BlockSize, Files: 1}); during.Err() != nil || space.Held() != want || !engine.Containers[name].State.Paused {
			t.Errorf("%v, reserved is %+v, and the server is %s", during.Err(), space.Held(), engine.Containers[name].State.Status)
		}
		return nil
	}
	engine.Archive = strings.NewReader("the archive")
	if err := s.Snapshots.Take(ctx, enginetest.ServerID, func(agent.Image, io.Reader) error { return ctx.Err() }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if space.Held() != (diskspace.Space{}) || len(engine.Images) > 0 || engine.Containers[name].State.Paused || len(records(t, engine.Engine)) > 0 {
		t.Errorf("reserved is %+v, there are images %v, and the server is %s", space.Held(), engine.Images, engine.Containers[name].State.Status)
	}
}

// TestAFullDiskEndsACommit in containerd's store, which says how much files use without their holes.
func TestAFullDiskEndsACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free, err := diskspace.FreeOn("/")
		if err != nil {
			t.Fatal(err)
		}
		fills := filepath.Join(t.TempDir(), "fills")
		engine := &slowly{Engine: enginetest.New()}
		engine.SystemInfo.DriverStatus = [][2]string{{"driver-type", "io.containerd.snapshotter.v1"}}
		engine.SystemInfo.DockerRootDir = filepath.Dir(fills)
		engine.PutServer(container.StateRunning)
		space := diskspace.New(free.Bytes - 256<<20)
		engine.during = func(ctx context.Context) error {
			for n := 1; ctx.Err() == nil && n <= 32; n++ { // others may free some of it meanwhile
				if err := os.WriteFile(fmt.Sprint(fills, n), make([]byte, 64<<20), 0o600); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second) // of the test's own time: until the disk is looked at
			}
			return fmt.Errorf("commit: %w", ctx.Err())
		}
		s := instance.New(engine, instance.Options{State: agenttest.StateOf(t, engine), Runtimes: runtimes.New(config.Default()), Space: space}, agenttest.Quiet())
		if err := s.Snapshots.Take(t.Context(), enginetest.ServerID, nil); err == nil || !strings.Contains(err.Error(), "less than image_reserve_gb") {
			t.Errorf("got %v", err)
		}
	})
}

// savesSlowly is an engine that saves an image while its disk fills.
type savesSlowly struct {
	*enginetest.Engine
	fill func()
}

func (s savesSlowly) ImageSave(ctx context.Context, _ []string, _ ...client.ImageSaveOption) (io.ReadCloser, error) {
	s.fill()
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestAFullDiskEndsAnArchive of layers whose tars are not known beforehand.
func TestAFullDiskEndsAnArchive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free, err := diskspace.FreeOn("/")
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		engine := savesSlowly{enginetest.New(), func() {
			for n := range 32 { // others may free some of it meanwhile
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), make([]byte, 64<<20), 0o600); err != nil {
					t.Error(err)
				}
			}
		}}
		engine.SystemInfo.Driver, engine.SystemInfo.DockerRootDir = "btrfs", dir
		engine.PutServer(container.StateRunning)
		engine.Sizes = map[string]int64{naming.Container(enginetest.ServerID): 0}
		s := instance.New(engine, instance.Options{State: agenttest.StateOf(t, engine.Engine), Runtimes: runtimes.New(config.Default()), Space: diskspace.New(free.Bytes - 256<<20)}, agenttest.Quiet())
		if err := s.Snapshots.Take(t.Context(), enginetest.ServerID, nil); err == nil || !strings.Contains(err.Error(), "less than image_reserve_gb") {
			t.Errorf("got %v", err)
		}
	})
}

// TestAnArchiveTakesSpace: Docker writes the layers of an image that it sends once more. That is more than it says of them where a
// tenant has padded one.
func TestAnArchiveTakesSpace(t *testing.T) {
	for driver, enlarge := range map[string]func(c *committing){
		"btrfs": func(c *committing) { c.size = huge },
		"overlay2": func(c *committing) {
			c.files.PutRecords(c.diffIDs, fmt.Sprintf(`{"type":1,"name":"x","size":%d}`, int64(huge)))
		},
	} {
		t.Run(driver, func(t *testing.T) {
			c := newCommitting(t)
			c.Engine.SystemInfo.Driver = driver
			enlarge(c)
			h := hold(t, c, config.Default())
			status, body, err := h.ask("GET", "/v1/commits/"+c.id+"/archive", "")
			if err != nil || status != 400 || !strings.Contains(string(body), "there is no room on this host") {
				t.Errorf("got %d %s, %v", status, body, err)
			}
		})
	}
}
