// Package hostinfo reports what this host can give to servers and uses already. Nova accounts for servers by their flavors,
// so what others use is counted apart from them.
package hostinfo

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ndock/docker"
	"ndock/docker/agent"
	"ndock/docker/engine"
	"ndock/docker/network"
)

// Engine is what it asks of Docker Engine.
type Engine interface {
	engine.Containers
	engine.Daemon
}

// Devices has the devices of this host, and what servers go without.
type Devices interface {
	Report() ([]agent.DeviceClass, []string)
}

// Host is this machine.
type Host struct {
	engine  Engine
	kernel  network.Kernel
	devices Devices
	memory  nonServerMemory
	disks   serverDisks
}

// New returns this host. What runs in the background ends when closing is done.
func New(closing context.Context, engine Engine, kernel network.Kernel, devices Devices, log *slog.Logger) *Host {
	return &Host{
		engine: engine, kernel: kernel, devices: devices,
		memory: nonServerMemory{engine: engine, log: log},
		disks:  serverDisks{engine: engine, log: log, closing: closing},
	}
}

// Report returns what this host can give to servers and uses already.
func (h *Host) Report(ctx context.Context) (agent.Host, error) {
	info, err := h.engine.Info(ctx)
	if err != nil {
		return agent.Host{}, err
	}
	found, err := h.measure(ctx, info.DockerRootDir)
	if err != nil {
		return agent.Host{}, err
	}
	devices, lacks := h.devices.Report()
	return agent.Host{
		Architecture:  docker.GlanceArchitecture(info.Architecture),
		CPUModel:      cpuModel(),
		VCPUs:         info.NCPU,
		MemoryMB:      found.memory["MemTotal"] >> 10,
		MemoryUsedMB:  (found.memory["MemTotal"] - found.memory["MemAvailable"]) >> 10,
		DiskGB:        gigabytes(found.disk.Blocks, found.disk.Bsize),
		DiskUsedGB:    gigabytes(found.disk.Blocks-found.disk.Bavail, found.disk.Bsize),
		EngineVersion: versionNumber(info.ServerVersion),
		Uptime:        found.uptime,

		MemoryForeignMB: int(found.others >> 20),
		DiskForeignGB:   usedByOthers(found.disk, h.disks.written()),
		RootDisks:       RootDisks(info),
		NUMANodes:       found.nodes,
		PageKB:          os.Getpagesize() >> 10,
		Lacks:           slices.Concat(h.kernel.Lacks(), quotaLacks(info), lacks),
		Devices:         devices,
	}, nil
}

// measured is what is read from the kernel, and from Docker about others' memory.
type measured struct {
	memory map[string]int // in KiB, as in /proc/meminfo
	disk   unix.Statfs_t  // of Docker's data
	uptime string
	others int64 // bytes of memory that others than servers use
	nodes  []agent.NUMANode
}

func (h *Host) measure(ctx context.Context, dockerRoot string) (m measured, err error) {
	if m.memory, err = meminfo("/proc/meminfo"); err != nil {
		return m, err
	}
	if err := unix.Statfs(dockerRoot, &m.disk); err != nil {
		return m, fmt.Errorf("size of %s: %w", dockerRoot, err)
	}
	if m.uptime, err = uptime(time.Now()); err != nil {
		return m, err
	}
	if m.others, err = h.memory.held(ctx, int64(m.memory["MemTotal"])<<10); err != nil {
		return m, err
	}
	m.nodes, err = NUMANodes()
	return m, err
}

func gigabytes(blocks uint64, size int64) int { return int(blocks * uint64(size) >> 30) }

// usedByOthers returns the GiB that are used, but not by servers: images, other containers, other files.
func usedByOthers(disk unix.Statfs_t, written int64) int {
	used := int64(disk.Blocks-disk.Bavail) * disk.Bsize
	return int((used - min(max(0, written), used) + 1<<30 - 1) >> 30)
}

// versionNumber returns 20010024 for 20.10.24+dfsg1, as Nova counts versions.
func versionNumber(version string) int {
	number := 0
	parts := strings.SplitN(version, ".", 3)
	for i := range 3 {
		digits := ""
		if i < len(parts) {
			digits = parts[i][:len(parts[i])-len(strings.TrimLeft(parts[i], "0123456789"))]
		}
		part, _ := strconv.Atoi(digits) // 0 for what is no number
		number = number*1000 + part
	}
	return number
}
