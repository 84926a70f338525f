package instance_test

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/go-units"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/agent/hostinfo"
	"ndock/docker/agent/naming"
	"ndock/docker/agent/server"
	"ndock/docker/engine/enginetest"
	"ndock/docker/network"
)

// created has an agent make a server's container, and returns what Docker was asked for, beside the files by which it
// finds names.
func created(t *testing.T, docker *enginetest.Engine, spec agent.Spec) container.HostConfig {
	t.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	status, body := ask(t, docker, "PUT", agenttest.ServerPath, string(text))
	agenttest.WantOK(t, status, body)
	made := docker.Containers[naming.Container(enginetest.ServerID)].HostConfig
	if made == nil {
		t.Fatal("there is no container")
	}
	names := network.NameFiles(filepath.Join(docker.State, enginetest.ServerID))
	made.Mounts = slices.DeleteFunc(made.Mounts, func(mount mount.Mount) bool { return names[mount.Source] == mount.Target })
	if len(made.Mounts) == 0 {
		made.Mounts = nil
	}
	return *made
}

func withSpecs(specs map[string]string) agent.Spec {
	spec := small()
	spec.ExtraSpecs = specs
	return spec
}

// confined is all that a server of small() may have, to the last field.
func confined() container.HostConfig {
	pids := int64(4096)
	return container.HostConfig{
		NetworkMode:   "none",
		Runtime:       "ndock",
		SecurityOpt:   []string{"no-new-privileges"},
		CapDrop:       []string{"AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP"},
		RestartPolicy: container.RestartPolicy{Name: "no"},
		LogConfig:     container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "1m", "max-file": "2"}},
		ShmSize:       64 << 20,
		Resources:     container.Resources{Memory: 512 << 20, MemorySwap: 512 << 20, NanoCPUs: 2e9, PidsLimit: &pids, Ulimits: []*units.Ulimit{{Name: "core"}}},
	}
}

func wantHost(t *testing.T, got, want container.HostConfig) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		gotText, _ := json.MarshalIndent(got, "", " ")
		wantText, _ := json.MarshalIndent(want, "", " ")
		t.Errorf("got %s\nwant %s", gotText, wantText)
	}
}

func TestLimitsOfTheFlavor(t *testing.T) {
	disk, err := hostinfo.DiskOf("/")
	for name, c := range map[string]struct {
		specs map[string]string
		want  func(h *container.HostConfig)
	}{
		"none":          {nil, func(*container.HostConfig) {}},
		"another's":     {map[string]string{"quota:vif_inbound_average": "1", "hw:mem_page_size": "small", "trait:X": "required"}, func(*container.HostConfig) {}},
		"shares":        {map[string]string{"quota:cpu_shares": "512"}, func(h *container.HostConfig) { h.CPUShares = 512 }},
		"no shares":     {map[string]string{"quota:cpu_shares": "0"}, func(*container.HostConfig) {}},
		"quota":         {map[string]string{"quota:cpu_quota": "50000"}, cpuTime(100_000, 100_000)}, // for each of 2 vCPUs
		"quota, period": {map[string]string{"quota:cpu_quota": "10000", "quota:cpu_period": "20000"}, cpuTime(20_000, 20_000)},
		"period":        {map[string]string{"quota:cpu_period": "20000"}, cpuTime(20_000, 40_000)},
		"more than one": {map[string]string{"quota:cpu_quota": "300000"}, cpuTime(100_000, 200_000)}, // a vCPU is one CPU at most
		"endless":       {map[string]string{"quota:cpu_quota": "-1"}, func(*container.HostConfig) {}},
		"endless, period": {
			map[string]string{"quota:cpu_quota": "-1", "quota:cpu_period": "20000"}, cpuTime(20_000, 40_000),
		},
		"overflow": {map[string]string{"quota:cpu_quota": "9223372036854775807"}, cpuTime(100_000, 200_000)},
		"shm":      {map[string]string{"ndock:shm_size_mb": "256"}, func(h *container.HostConfig) { h.ShmSize = 256 << 20 }},
		"pids": {map[string]string{"ndock:pids_limit": "64"}, func(h *container.HostConfig) {
			pids := int64(64)
			h.PidsLimit = &pids
		}},
		"ulimits": {map[string]string{"ndock:ulimit_nofile": "1024:2048", "ndock:ulimit_core": "0"}, func(h *container.HostConfig) {
			h.Ulimits = []*units.Ulimit{{Name: "core"}, {Name: "nofile", Soft: 1024, Hard: 2048}}
		}},
		"disk": {map[string]string{
			"quota:disk_read_bytes_sec": "1000000", "quota:disk_total_bytes_sec": "500000",
			"quota:disk_write_iops_sec": "100", "quota:disk_total_iops_sec": "300", "quota:disk_write_bytes_sec": "0",
		}, func(h *container.HostConfig) {
			h.BlkioDeviceReadBps, h.BlkioDeviceWriteBps = throttle(disk, 500_000), throttle(disk, 500_000)
			h.BlkioDeviceReadIOps, h.BlkioDeviceWriteIOps = throttle(disk, 300), throttle(disk, 100)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "disk" && err != nil {
				t.Skip(err)
			}
			want := confined()
			c.want(&want)
			wantHost(t, created(t, withImage(t), withSpecs(c.specs)), want)
		})
	}
}

func cpuTime(period, quota int64) func(h *container.HostConfig) {
	return func(h *container.HostConfig) { h.NanoCPUs, h.CPUPeriod, h.CPUQuota = 0, period, quota }
}

func throttle(path string, rate uint64) []*blkiodev.ThrottleDevice {
	return []*blkiodev.ThrottleDevice{{Path: path, Rate: rate}}
}

// TestAFlavorThatIsWrong is refused with the name of what is wrong, and for good: it is so on every host.
func TestAFlavorThatIsWrong(t *testing.T) {
	for key, values := range map[string][]string{
		"quota:cpu_shares":            {"many", "-1", "262145", "", "1.5", "1e3", "0x10"},
		"quota:cpu_period":            {"999", "1000001", "-1", "100ms"},
		"quota:cpu_quota":             {"999", "half", "9223372036854775808"},
		"quota:disk_read_bytes_sec":   {"10M", "-1"},
		"quota:disk_write_bytes_sec":  {"x"},
		"quota:disk_total_bytes_sec":  {"x"},
		"quota:disk_read_iops_sec":    {"x"},
		"quota:disk_write_iops_sec":   {"x"},
		"quota:disk_total_iops_sec":   {"x"},
		"ndock:shm_size_mb":           {"0", "64M", "-1", strconv.Itoa(1<<30 + 1)},
		"ndock:pids_limit":            {"0", "-1", "none"},
		"ndock:ulimit_nofile":         {"", "a:b", "2:1", "1:2:3"},
		"ndock:ulimit_files":          {"1"},
		"ndock:shm_size":              {"64"},
		"ndock:privileged":            {"true"},
		"ndock:no_new_privileges":     {"false"},
		"ndock:ulimit_nofile=1 --x=y": {"1"},
	} {
		for _, value := range values {
			text, err := json.Marshal(withSpecs(map[string]string{key: value}))
			if err != nil {
				t.Fatal(err)
			}
			engine := withImage(t)
			status, body := ask(t, engine, "PUT", agenttest.ServerPath, string(text))
			agenttest.WantFault(t, status, body, 422, agent.UnusableFlavor)
			if !strings.Contains(body, key) || len(engine.Containers) > 0 {
				t.Errorf("%s=%s: got %s, and containers %v", key, value, body, engine.Containers)
			}
		}
	}
}

// TestALimitThatDockerLeavesOut: it only warns of that, but a server that was sold with a limit has to have it.
func TestALimitThatDockerLeavesOut(t *testing.T) {
	engine := withImage(t)
	engine.Warnings = []string{"Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded."}
	status, body := ask(t, engine, "PUT", agenttest.ServerPath, spec(t))
	agenttest.WantFault(t, status, body, 500, agent.Failed) // so that another host is tried
	if len(engine.Containers) > 0 || !strings.Contains(body, "BPS read limit discarded") {
		t.Errorf("got %s, and containers %v", body, engine.Containers)
	}
}

func TestAHostWithoutADiskToThrottle(t *testing.T) {
	engine := withImage(t)
	engine.SystemInfo.DockerRootDir = "/proc"
	text, err := json.Marshal(withSpecs(map[string]string{"quota:disk_read_iops_sec": "100"}))
	if err != nil {
		t.Fatal(err)
	}
	status, body := ask(t, engine, "PUT", agenttest.ServerPath, string(text))
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	if want := "cannot hold the flavor's quota:disk_read_iops_sec: /proc is on proc, which is on no disk"; !strings.Contains(body, want) {
		t.Errorf("got %s, want %s", body, want)
	}
}

// TestTheEngineDecidesWhetherDisksAreLimited, at each creation: it may have been given another storage driver.
func TestTheEngineDecidesWhetherDisksAreLimited(t *testing.T) {
	engine := withImage(t)
	engine.SystemInfo.Driver = "btrfs"
	if got := created(t, engine, small()).StorageOpt["size"]; got != "5368709120" {
		t.Errorf("got a disk of %q", got)
	}
}

// TestTheOperatorsFileHoldsForServers that the agent makes.
func TestTheOperatorsFileHoldsForServers(t *testing.T) {
	docker, operators := withImage(t), config.Default()
	operators.PidsLimit, operators.CapDrop, operators.Seccomp = 7, []string{"NET_RAW"}, "unconfined"
	s := server.New(t.Context(), docker, server.Options{State: t.TempDir(), Choices: t.TempDir()}, operators, agenttest.Quiet())
	status, body := askServer(t, s, "PUT", agenttest.ServerPath, marshal(t, small()))
	agenttest.WantOK(t, status, body)
	host := docker.Containers[naming.Container(enginetest.ServerID)].HostConfig
	if *host.PidsLimit != 7 || !slices.Equal(host.CapDrop, []string{"NET_RAW"}) || !slices.Contains(host.SecurityOpt, "seccomp=unconfined") {
		t.Errorf("got %d, %q, %q", *host.PidsLimit, host.CapDrop, host.SecurityOpt)
	}
}

// TestAServerOnANUMANode of this host has its CPUs.
func TestAServerOnANUMANode(t *testing.T) {
	nodes, err := hostinfo.NUMANodes()
	if err != nil {
		t.Skip(err)
	}
	spec := small()
	spec.NUMANodes = []int{nodes[0].ID}
	got := created(t, withImage(t), spec)
	if first, _, _ := strings.Cut(got.CpusetCpus, ","); first != strconv.Itoa(nodes[0].CPUs[0]) || got.CpusetMems != strconv.Itoa(nodes[0].ID) {
		t.Errorf("got CPUs %q of node %q, want those of %+v", got.CpusetCpus, got.CpusetMems, nodes[0])
	}
}
