package server

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ndock/docker"
	"ndock/docker/agent"
)

func (s *Server) getHost(_ http.ResponseWriter, r *http.Request) (any, error) {
	info, err := s.docker.Info(r.Context())
	if err != nil {
		return nil, err
	}
	memory, err := meminfo("/proc/meminfo")
	if err != nil {
		return nil, err
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(info.DockerRootDir, &disk); err != nil {
		return nil, fmt.Errorf("size of %s: %w", info.DockerRootDir, err)
	}
	up, err := uptime(time.Now())
	if err != nil {
		return nil, err
	}
	foreign, err := s.foreignMemory(r.Context(), int64(memory["MemTotal"])<<10)
	if err != nil {
		return nil, err
	}
	nodes, err := numaNodes(sysfs)
	if err != nil {
		return nil, err
	}
	return agent.Host{
		Architecture:  docker.GlanceArchitecture(info.Architecture),
		CPUModel:      cpuModel(),
		VCPUs:         info.NCPU,
		MemoryMB:      memory["MemTotal"] >> 10,
		MemoryUsedMB:  (memory["MemTotal"] - memory["MemAvailable"]) >> 10,
		DiskGB:        gigabytes(disk.Blocks, disk.Bsize),
		DiskUsedGB:    gigabytes(disk.Blocks-disk.Bavail, disk.Bsize),
		EngineVersion: versionNumber(info.ServerVersion),
		Uptime:        up,

		MemoryForeignMB: int(foreign >> 20),
		DiskForeignGB:   foreignDisk(disk, s.written()),
		RootDisks:       rootDisks(info),
		NUMANodes:       nodes,
		PageKB:          os.Getpagesize() >> 10,
		Lacks:           s.kernel.Lacks(),
	}, nil
}

func gigabytes(blocks uint64, size int64) int { return int(blocks * uint64(size) >> 30) }

// foreignDisk is what is not free and was not written by servers: images, other containers, whatever else is there.
func foreignDisk(disk unix.Statfs_t, written int64) int {
	used := int64(disk.Blocks-disk.Bavail) * disk.Bsize
	return int((max(0, used-written) + 1<<30 - 1) >> 30)
}

// versionNumber writes 20.10.24+dfsg1 as 20010024, the way that Nova counts versions.
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

// meminfo reads the figures of /proc/meminfo, in KiB.
func meminfo(path string) (map[string]int, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	figures := map[string]int{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		if fields := strings.Fields(rest); len(fields) > 0 {
			figures[name], _ = strconv.Atoi(fields[0]) // figures that are none are none of ours
		}
	}
	return figures, nil
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(info), "model name")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimLeft(line, "\t: ")
}

// uptime is what uptime(1) prints, which Nova passes on as it is.
func uptime(now time.Time) (string, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return "", fmt.Errorf("uptime: %w", err)
	}
	up := time.Duration(info.Uptime) * time.Second
	days, rest := up/(24*time.Hour), up%(24*time.Hour)
	load := func(i int) float64 { return float64(info.Loads[i]) / (1 << 16) }
	return fmt.Sprintf(" %s up %d days, %2d:%02d,  0 users,  load average: %.2f, %.2f, %.2f",
		now.Format("15:04:05"), days, rest/time.Hour, rest%time.Hour/time.Minute, load(0), load(1), load(2)), nil
}
