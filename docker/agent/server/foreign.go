package server

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"golang.org/x/sync/errgroup"
)

// foreignMemories is what containers that are no servers held, in bytes by id, when they were last looked at.
type foreignMemories struct {
	mu    sync.Mutex
	bytes map[string]int64
}

// set replaces all that was known.
func (f *foreignMemories) set(bytes map[string]int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes = bytes
}

func (f *foreignMemories) get(id string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bytes[id]
}

// foreignLimit is how long all of them together may take to be looked at, and foreignAtOnce how many are looked at at
// once. Nova's audit waits for it.
const (
	foreignLimit  = 10 * time.Second
	foreignAtOnce = 8
)

// foreignMemory is what containers hold that are no servers, in bytes: the most that each may have, or, where it may
// have all, what it has now. The host's own processes are not in it: they are what the operator reserves for. One that
// hangs holds what it held before.
func (s *Server) foreignMemory(ctx context.Context, total int64) (int64, error) {
	running, err := s.docker.ContainerList(ctx, container.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("list containers: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, foreignLimit)
	defer cancel()
	held := make([]int64, len(running))
	var looks errgroup.Group
	looks.SetLimit(foreignAtOnce)
	for i, c := range running {
		if !isServer(c) {
			looks.Go(func() error {
				held[i] = s.foreignMemoryOf(ctx, c.ID)
				return nil
			})
		}
	}
	_ = looks.Wait() // none returns an error
	var sum int64
	known := map[string]int64{}
	for i, c := range running {
		known[c.ID] = held[i]
		sum += held[i]
	}
	s.foreign.set(known)
	return min(sum, total), nil
}

func (s *Server) foreignMemoryOf(ctx context.Context, id string) int64 {
	held, err := s.memoryOf(ctx, id)
	if err == nil || errdefs.IsNotFound(err) { // it may have ended by now
		return held
	}
	held = s.foreign.get(id)
	s.log.Warn("the memory of a container that is no server is not known", "container", id, "believed", held, "reason", err)
	return held
}

func (s *Server) memoryOf(ctx context.Context, id string) (int64, error) {
	found, err := s.docker.ContainerInspect(ctx, id)
	if err != nil {
		return 0, err
	}
	if found.HostConfig != nil && found.HostConfig.Memory > 0 {
		return found.HostConfig.Memory, nil
	}
	response, err := s.docker.ContainerStatsOneShot(ctx, id)
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

// memoryStep keeps Placement from being told something new each minute.
const memoryStep = 256 << 20

func inSteps(bytes int64) int64 { return (bytes + memoryStep - 1) / memoryStep * memoryStep }

// diskPatience is how long a measurement of disks is believed. Docker looks at every file to make one.
const diskPatience = 10 * time.Minute

// serverDisks is what the servers' containers have written, as it was when it was last measured.
type serverDisks struct {
	mu       sync.Mutex
	bytes    int64
	measured time.Time // or begun to be
}

// written returns the last measurement, and begins another when that is old. Until the first is there, nothing is the
// servers', and so Placement is told too little rather than too much.
func (s *Server) written() int64 {
	s.disks.mu.Lock()
	defer s.disks.mu.Unlock()
	if now := time.Now(); now.Sub(s.disks.measured) > diskPatience {
		s.disks.measured = now
		go s.measure()
	}
	return s.disks.bytes
}

func (s *Server) measure() {
	servers := filters.NewArgs(filters.Arg("label", labelServer))
	found, err := s.docker.ContainerList(s.closing, container.ListOptions{All: true, Size: true, Filters: servers})
	if err != nil {
		s.log.Error("the disks of servers were not measured", "reason", err)
		return
	}
	var sum int64
	for _, c := range found {
		if isServer(c) {
			sum += c.SizeRw
		}
	}
	s.disks.mu.Lock()
	defer s.disks.mu.Unlock()
	s.disks.bytes = sum
}
