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
)

// foreignMemory is what containers hold that are no servers, in bytes: the most that each may have, or, where it may
// have all, what it has now. The host's own processes are not in it: they are what the operator reserves for.
func (s *Server) foreignMemory(ctx context.Context, total int64) (int64, error) {
	running, err := s.docker.ContainerList(ctx, container.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("list containers: %w", err)
	}
	var sum int64
	for _, c := range running {
		if isServer(c) {
			continue
		}
		held, err := s.memoryOf(ctx, c.ID)
		if err != nil && !errdefs.IsNotFound(err) { // it may have ended by now
			return 0, err
		}
		sum += held
	}
	return min(sum, total), nil
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
