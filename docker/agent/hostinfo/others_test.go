package hostinfo

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/devices"
	"ndock/docker/agent/naming"
	"ndock/docker/engine"
	"ndock/docker/engine/enginetest"
	"ndock/docker/network"
)

func TestMemoryOfOthers(t *testing.T) {
	const gib = 1 << 30
	for name, c := range map[string]struct {
		limits map[string]int64 // of containers that are not servers
		stats  string
		want   int64
	}{
		"none":        {nil, "", 0},
		"limited":     {map[string]int64{"db": gib, "mq": 2 * gib}, "", 3 * gib},
		"unlimited":   {map[string]int64{"db": 0}, `{"memory_stats":{"usage":700000000,"stats":{"inactive_file":400000000}}}`, 2 * memoryStep},
		"cgroups v1":  {map[string]int64{"db": 0}, `{"memory_stats":{"usage":700000000,"stats":{"total_inactive_file":600000000,"inactive_file":1}}}`, memoryStep},
		"just ended":  {map[string]int64{"db": 0}, `{"memory_stats":{}}`, 0},
		"all of it":   {map[string]int64{"db": 16 * gib}, "", 8 * gib},
		"odd figures": {map[string]int64{"db": 0}, `{"memory_stats":{"usage":1,"stats":{"inactive_file":2}}}`, 0},
	} {
		engine := enginetest.New()
		engine.PutServer(container.StateRunning) // is sold already
		engine.Stats = c.stats
		for name, limit := range c.limits {
			engine.PutOther(name, nil, limit)
		}
		got, err := New(t.Context(), engine, network.Kernel{}, devices.New(t.TempDir(), nil, nil), agenttest.Quiet()).memory.held(t.Context(), 8*gib)
		if err != nil || got != c.want {
			t.Errorf("%s: got %d, %v, want %d", name, got, err, c.want)
		}
	}
}

// TestWhoSaysItIsAServer and is none, holds memory like others: an image can bring the label, but not the name.
func TestWhoSaysItIsAServer(t *testing.T) {
	engine := enginetest.New()
	engine.PutOther("db", map[string]string{naming.LabelServer: enginetest.ServerID}, 1<<30)
	got, err := New(t.Context(), engine, network.Kernel{}, devices.New(t.TempDir(), nil, nil), agenttest.Quiet()).memory.held(t.Context(), 8<<30)
	if err != nil || got != 1<<30 {
		t.Errorf("got %d, %v", got, err)
	}
}

func TestDiskOfOthers(t *testing.T) {
	const block = 4096
	blocks := func(gib float64) uint64 { return uint64(gib * (1 << 30) / block) }
	disk := unix.Statfs_t{Blocks: blocks(100), Bavail: blocks(60), Bsize: block}
	for written, want := range map[int64]int{0: 40, 10 << 30: 30, 10<<30 + 1: 30, 40 << 30: 0, 50 << 30: 0, math.MaxInt64: 0, -1: 40, math.MinInt64: 40} {
		if got := usedByOthers(disk, written); got != want {
			t.Errorf("%d bytes of servers': got %d GB of others", written, got)
		}
	}
}

// server adds a server whose files have this limit and are in this directory.
func server(fake *enginetest.Engine, uuid, directory, limit string) string {
	name := naming.Container(uuid)
	fake.Put(name, map[string]string{naming.LabelServer: uuid}, container.StateRunning)
	found := fake.Containers[name]
	found.HostConfig = &container.HostConfig{StorageOpt: map[string]string{"size": limit}}
	if directory != "" {
		found.GraphDriver.Data = map[string]string{"UpperDir": directory}
	}
	fake.Containers[name] = found
	return name
}

// TestDisksAreMeasuredNowAndThen, not at each of Nova's audits: every file is looked at for it.
func TestDisksAreMeasuredNowAndThen(t *testing.T) {
	engine := enginetest.New()
	name := server(engine, enginetest.ServerID, "", "5368709120")
	engine.PutOther("db", map[string]string{naming.LabelServer: "another"}, 0)
	engine.Sizes = map[string]int64{name: 5 << 30, "db": 7 << 30}
	disks := &New(t.Context(), engine, network.Kernel{}, devices.New(t.TempDir(), nil, nil), agenttest.Quiet()).disks
	for deadline := time.Now().Add(10 * time.Second); disks.written() != 5<<30; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %d bytes of servers'", disks.written())
		}
	}
	disks.written()
	engine.WantCalls(t, "ContainerList", "ContainerInspect "+engine.Containers[name].ID, "Info", "ContainerList")
}

// neverListing is an engine whose containers nobody comes to the end of.
type neverListing struct {
	*enginetest.Engine
	asked atomic.Int32
}

func (n *neverListing) ContainerList(ctx context.Context, _ container.ListOptions) ([]container.Summary, error) {
	n.asked.Add(1)
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestDisksAreMeasuredOnceAtATime: tenants can have it take longer than the time between two.
func TestDisksAreMeasuredOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &neverListing{Engine: enginetest.New()}
		disks := serverDisks{engine: engine, log: agenttest.Quiet(), closing: t.Context()}
		for range 5 {
			disks.written()
			time.Sleep(diskInterval + time.Second) // of the test's own time
		}
		if n := engine.asked.Load(); n != 1 {
			t.Errorf("measured %d times", n)
		}
	})
}

// TestATenantsSizes: Placement is told what servers use, not what their files say, which can be any number.
func TestATenantsSizes(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "full"), make([]byte, 1<<20), 0o600), os.WriteFile(filepath.Join(dir, "hole"), nil, 0o600), os.Truncate(filepath.Join(dir, "hole"), 1<<42)); err != nil {
		t.Fatal(err)
	}
	const other = "0b0b0b0b-7f0b-4b52-9a53-0c3a5d5f3c11"
	for name, c := range map[string]struct {
		directory, limit string
		driver           string
		sizes            [2]int64 // what Docker says of the server, and of another without a limit
		least, most      int64
	}{
		"a hole":               {directory: dir, least: 1 << 20, most: 2 << 20},
		"files met twice":      {directory: dir, limit: "4096", least: 4096, most: 4096},
		"no such directory":    {directory: filepath.Join(dir, "none")},
		"up to its limit":      {limit: "1000", sizes: [2]int64{1 << 50, 1 << 50}, least: 1000, most: 1000},
		"less than its limit":  {limit: "1000", sizes: [2]int64{10, 0}, least: 10, most: 10},
		"no limit":             {sizes: [2]int64{1 << 50, 10}},
		"sums that would wrap": {driver: "io.containerd.snapshotter.v1", sizes: [2]int64{math.MaxInt64, 1 << 50}, least: math.MaxInt64, most: math.MaxInt64},
		"no size":              {driver: "io.containerd.snapshotter.v1", limit: "1000", sizes: [2]int64{-1, math.MinInt64}},
		"containerd's":         {driver: "io.containerd.snapshotter.v1", sizes: [2]int64{5, 6}, least: 11, most: 11},
		"no number as a limit": {limit: "-5", sizes: [2]int64{1 << 50, 10}},
	} {
		t.Run(name, func(t *testing.T) {
			fake := enginetest.New()
			fake.SystemInfo.DriverStatus = [][2]string{{"driver-type", c.driver}}
			fake.Sizes = map[string]int64{server(fake, enginetest.ServerID, c.directory, c.limit): c.sizes[0], server(fake, other, "", ""): c.sizes[1]}
			disks := &New(t.Context(), fake, network.Kernel{}, devices.New(t.TempDir(), nil, nil), agenttest.Quiet()).disks
			if got, err := disks.sum(t.Context()); err != nil || got < c.least || got > c.most {
				t.Errorf("got %d, %v, want %d to %d", got, err, c.least, c.most)
			}
		})
	}
}

// TestAContainerThatHangs counts as what it held before, and keeps nobody from the rest of the host.
func TestAContainerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := enginetest.New()
		fake.PutServer(container.StateRunning)
		fake.PutOther("db", nil, 1<<30)
		fake.PutOther("mq", nil, 2<<30)
		memory := &New(t.Context(), engine.WithDeadlines(fake), network.Kernel{}, devices.New(t.TempDir(), nil, nil), agenttest.Quiet()).memory
		if got, err := memory.held(t.Context(), 8<<30); err != nil || got != 3<<30 {
			t.Fatalf("got %d, %v", got, err)
		}
		for _, name := range []string{naming.Container(enginetest.ServerID), "db"} {
			for _, id := range []string{name, fake.Containers[name].ID} {
				fake.Hang["ContainerInspect "+id], fake.Hang["ContainerStatsOneShot "+id] = true, true
			}
		}
		began := time.Now()
		if got, err := memory.held(t.Context(), 8<<30); err != nil || got != 3<<30 {
			t.Errorf("got %d, %v", got, err)
		}
		if took := time.Since(began); took >= agent.ShortTimeout {
			t.Errorf("it took %s", took)
		}
	})
}
