package hostinfo

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"ndock/docker/agent/naming"
	"ndock/docker/engine"
)

// nonServerMemory measures the memory of containers that are no servers.
type nonServerMemory struct {
	engine engine.Containers
	log    *slog.Logger

	mu    sync.Mutex
	bytes map[string]int64 // by container, when it was last looked at
}

// set replaces all that was known.
func (m *nonServerMemory) set(bytes map[string]int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes = bytes
}

func (m *nonServerMemory) get(id string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes[id]
}

// memoryLimit is how long it may take to inspect all of them, and memoryAtOnce how many are inspected at once. Nova's audit
// waits for it.
const (
	memoryLimit  = 10 * time.Second
	memoryAtOnce = 8
)

// held returns the sum in bytes: of each container its limit, or, without one, what it uses now. For a container that hangs
// it is what was known before. The host's own processes are not in it: the operator reserves memory for them.
func (m *nonServerMemory) held(ctx context.Context, total int64) (int64, error) {
	running, err := m.engine.ContainerList(ctx, container.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("list containers: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, memoryLimit)
	defer cancel()
	each := make([]int64, len(running))
	var inspections errgroup.Group
	inspections.SetLimit(memoryAtOnce)
	for i, c := range running {
		if !naming.IsServer(c) {
			inspections.Go(func() error {
				each[i] = m.heldBy(ctx, c.ID)
				return nil
			})
		}
	}
	_ = inspections.Wait() // none returns an error
	var sum int64
	known := map[string]int64{}
	for i, c := range running {
		known[c.ID] = each[i]
		sum += each[i]
	}
	m.set(known)
	return min(sum, total), nil
}

func (m *nonServerMemory) heldBy(ctx context.Context, id string) int64 {
	held, err := m.measure(ctx, id)
	if err == nil || errdefs.IsNotFound(err) { // it may have ended by now
		return held
	}
	held = m.get(id)
	m.log.Warn("the memory of a container that is no server is not known", "container", id, "believed", held, "reason", err)
	return held
}

func (m *nonServerMemory) measure(ctx context.Context, id string) (int64, error) {
	found, err := m.engine.ContainerInspect(ctx, id)
	if err != nil {
		return 0, err
	}
	if found.HostConfig != nil && found.HostConfig.Memory > 0 {
		return found.HostConfig.Memory, nil
	}
	response, err := m.engine.ContainerStatsOneShot(ctx, id)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(response.Body).Decode(&stats); err != nil {
		return 0, fmt.Errorf("read the memory of container %s: %w", id, err)
	}
	return inSteps(workingSet(stats.MemoryStats)), nil
}

// workingSet is what 'docker stats' shows: without the pages of files that the kernel could drop.
func workingSet(memory container.MemoryStats) int64 {
	for _, name := range []string{"total_inactive_file", "inactive_file"} { // cgroups v1 and v2
		if inactive, found := memory.Stats[name]; found {
			return int64(memory.Usage - min(inactive, memory.Usage))
		}
	}
	return int64(memory.Usage)
}

// memoryStep rounds figures up, so that Placement is not told something new each minute.
const memoryStep = 256 << 20

func inSteps(bytes int64) int64 { return (bytes + memoryStep - 1) / memoryStep * memoryStep }
