package instance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/engine"
)

// Usage is what a running server uses, and has used since it was started.
type Usage struct {
	CPU          time.Duration
	MemoryUsed   uint64 // in bytes; without files that the kernel can forget, as `docker stats` has it
	MemoryLimit  uint64 // in bytes
	Processes    uint64
	BlockRead    uint64 // in bytes, from block devices
	BlockWritten uint64
	Network      agent.NIC // the sum of all interfaces, without a name
}

// Usage measures a server that runs.
func (r *Reports) Usage(ctx context.Context, server agent.Instance) (Usage, error) {
	stats, err := measure(ctx, r.engine, server.ContainerID)
	if err != nil {
		return Usage{}, fmt.Errorf("measure server %s: %w", server.UUID, err)
	}
	interfaces, err := nics(server.ContainerID)
	if err != nil {
		return Usage{}, fmt.Errorf("measure the interfaces of server %s: %w", server.UUID, err)
	}
	usage := Usage{
		CPU:        time.Duration(stats.CPUStats.CPUUsage.TotalUsage),
		MemoryUsed: memoryUsed(stats.MemoryStats), MemoryLimit: stats.MemoryStats.Limit,
		Processes: stats.PidsStats.Current,
		Network:   sumOf(interfaces),
	}
	usage.BlockRead, usage.BlockWritten = blockIO(stats.BlkioStats)
	return usage, nil
}

// statsLimit is the largest answer of the engine, in bytes. One has 2 KiB, and some more for each CPU and disk.
const statsLimit = 1 << 20

func measure(ctx context.Context, docker engine.Containers, id string) (container.StatsResponse, error) {
	answer, err := docker.ContainerStatsOneShot(ctx, id)
	if err != nil {
		return container.StatsResponse{}, err
	}
	defer answer.Body.Close()
	var stats container.StatsResponse
	return stats, json.NewDecoder(io.LimitReader(answer.Body, statsLimit)).Decode(&stats)
}

// memoryUsed leaves out what is only a copy of files that were not used of late. Its name depends on the version of cgroups.
func memoryUsed(memory container.MemoryStats) uint64 {
	for _, name := range []string{"total_inactive_file", "inactive_file"} {
		if inactive, found := memory.Stats[name]; found {
			return memory.Usage - min(inactive, memory.Usage)
		}
	}
	return memory.Usage
}

// blockIO sums the devices. How the operations are written depends on the version of cgroups.
func blockIO(stats container.BlkioStats) (read, written uint64) {
	for _, entry := range stats.IoServiceBytesRecursive {
		switch strings.ToLower(entry.Op) {
		case "read":
			read += entry.Value
		case "write":
			written += entry.Value
		}
	}
	return read, written
}

func sumOf(interfaces []agent.NIC) agent.NIC {
	var sum agent.NIC
	for _, one := range interfaces {
		sum.RxBytes += one.RxBytes
		sum.RxPackets += one.RxPackets
		sum.RxErrors += one.RxErrors
		sum.RxDropped += one.RxDropped
		sum.TxBytes += one.TxBytes
		sum.TxPackets += one.TxPackets
		sum.TxErrors += one.TxErrors
		sum.TxDropped += one.TxDropped
	}
	return sum
}
