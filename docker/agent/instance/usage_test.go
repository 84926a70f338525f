package instance_test

import (
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/instance"
	"ndock/docker/engine/enginetest"
)

// TestUsage of both versions of cgroups, which name the same differently; and of an engine that says next to nothing.
func TestUsage(t *testing.T) {
	for name, c := range map[string]struct {
		stats string
		want  instance.Usage
	}{
		"cgroups v1": {
			`{"cpu_stats":{"cpu_usage":{"total_usage":1500000000}},"memory_stats":{"usage":100,"limit":400,"stats":{"total_inactive_file":30,"inactive_file":7}},
			"pids_stats":{"current":3},"blkio_stats":{"io_service_bytes_recursive":[{"op":"Read","value":1},{"op":"Write","value":2},{"op":"Total","value":3},
			{"op":"Read","value":10},{"op":"Write","value":20},{"op":"Discard","value":99}]}}`,
			instance.Usage{CPU: 1500 * time.Millisecond, MemoryUsed: 70, MemoryLimit: 400, Processes: 3, BlockRead: 11, BlockWritten: 22},
		},
		"cgroups v2": {
			`{"memory_stats":{"usage":100,"stats":{"inactive_file":40}},"blkio_stats":{"io_service_bytes_recursive":[{"op":"read","value":5},{"op":"write","value":6}]}}`,
			instance.Usage{MemoryUsed: 60, BlockRead: 5, BlockWritten: 6},
		},
		"more copies than memory": {`{"memory_stats":{"usage":100,"stats":{"inactive_file":400}}}`, instance.Usage{}},
		"hardly anything":         {`{"memory_stats":{"usage":100},"blkio_stats":{"io_service_bytes_recursive":null}}`, instance.Usage{MemoryUsed: 100}},
	} {
		docker := enginetest.New()
		docker.PutServer(container.StateRunning)
		docker.Stats = c.stats
		instances := newInstances(docker, instance.Options{State: t.TempDir()})
		servers, err := instances.Containers.List(t.Context())
		if err != nil || len(servers) != 1 {
			t.Fatal(servers, err)
		}
		if got, err := instances.Reports.Usage(t.Context(), servers[0]); err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}

// TestAnEndlessMeasurement is an error, and takes no memory.
func TestAnEndlessMeasurement(t *testing.T) {
	docker := enginetest.New()
	docker.PutServer(container.StateRunning)
	docker.Stats = `{"name":"` + strings.Repeat("a", 2<<20) + `"}`
	server := agent.Instance{UUID: enginetest.ServerID, ContainerID: strings.Repeat("c", 64)}
	if got, err := newInstances(docker, instance.Options{State: t.TempDir()}).Reports.Usage(t.Context(), server); err == nil {
		t.Errorf("got %+v", got)
	}
}
