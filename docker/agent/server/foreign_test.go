package server

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"

	"ndock/docker/agent"
)

// foreigner adds a running container that is no server's.
func (e *engine) foreigner(name string, labels map[string]string, memory int64) {
	e.put(name, labels, container.StateRunning)
	found := e.containers[name]
	found.ID = strings.Repeat("f", 60) + name
	found.HostConfig = &container.HostConfig{Resources: container.Resources{Memory: memory}}
	e.containers[name] = found
}

func TestForeignMemory(t *testing.T) {
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
		engine := newEngine()
		engine.putServer(container.StateRunning) // is sold already
		engine.stats = c.stats
		for name, limit := range c.limits {
			engine.foreigner(name, nil, limit)
		}
		got, err := New(t.Context(), engine, Options{State: t.TempDir()}, quiet()).foreignMemory(t.Context(), 8*gib)
		if err != nil || got != c.want {
			t.Errorf("%s: got %d, %v, want %d", name, got, err, c.want)
		}
	}
}

// TestWhoSaysItIsAServer and is none, holds memory like others: an image can bring the label, but not the name.
func TestWhoSaysItIsAServer(t *testing.T) {
	engine := newEngine()
	engine.foreigner("db", map[string]string{labelServer: serverID}, 1<<30)
	got, err := New(t.Context(), engine, Options{State: t.TempDir()}, quiet()).foreignMemory(t.Context(), 8<<30)
	if err != nil || got != 1<<30 {
		t.Errorf("got %d, %v", got, err)
	}
}

func TestForeignDisk(t *testing.T) {
	const block = 4096
	blocks := func(gib float64) uint64 { return uint64(gib * (1 << 30) / block) }
	disk := unix.Statfs_t{Blocks: blocks(100), Bavail: blocks(60), Bsize: block}
	for written, want := range map[int64]int{0: 40, 10 << 30: 30, 10<<30 + 1: 30, 40 << 30: 0, 50 << 30: 0} {
		if got := foreignDisk(disk, written); got != want {
			t.Errorf("%d bytes of servers': got %d GB of others", written, got)
		}
	}
}

// TestDisksAreMeasuredNowAndThen, not at each of Nova's audits: Docker looks at every file for it.
func TestDisksAreMeasuredNowAndThen(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateRunning)
	engine.foreigner("db", map[string]string{labelServer: "another"}, 0)
	engine.sizes = map[string]int64{namePrefix + serverID: 5 << 30, "db": 7 << 30}
	server := New(t.Context(), engine, Options{State: t.TempDir()}, quiet())
	for deadline := time.Now().Add(10 * time.Second); server.written() != 5<<30; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %d bytes of servers'", server.written())
		}
	}
	server.written()
	wantCalls(t, engine, "ContainerList")
}

func TestGetHostTellsOfOthers(t *testing.T) {
	engine := newEngine()
	engine.foreigner("db", nil, 64<<20)
	status, body := ask(t, engine, "GET", "/v1/host", "")
	wantOK(t, status, body)
	var host agent.Host
	if err := json.Unmarshal([]byte(body), &host); err != nil {
		t.Fatal(err)
	}
	if host.MemoryForeignMB != 64 || host.DiskForeignGB < host.DiskUsedGB || host.DiskForeignGB > host.DiskGB+1 {
		t.Errorf("got %+v", host)
	}
	if len(host.NUMANodes) == 0 || host.PageKB < 4 || host.RootDisks.Limited || host.RootDisks.Reason == "" {
		t.Errorf("got %+v", host)
	}
}
