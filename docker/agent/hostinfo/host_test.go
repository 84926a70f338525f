package hostinfo

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/devices"
	"ndock/docker/engine/enginetest"
	"ndock/docker/network"
)

func TestVersionNumber(t *testing.T) {
	for version, want := range map[string]int{
		"20.10.24+dfsg1": 20010024, "28.5.2": 28005002, "27.0": 27000000, "26": 26000000,
		"25.0.0-rc.1": 25000000, "29.1.3.4": 29001003, "": 0, "dev": 0, "v1.2": 2000, "-1.2.3": 2003,
	} {
		if got := versionNumber(version); got != want {
			t.Errorf("%q: got %d, want %d", version, got, want)
		}
	}
}

func TestMeminfo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meminfo")
	content := "MemTotal:       24000000 kB\nMemAvailable:   20000000 kB\nHugePages_Total:       3\nnonsense\n:\nOdd: many kB\n"
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := meminfo(path)
	if err != nil {
		t.Fatal(err)
	}
	if got["MemTotal"] != 24000000 || got["MemAvailable"] != 20000000 || got["HugePages_Total"] != 3 || got["Odd"] != 0 {
		t.Errorf("got %v", got)
	}
	if _, err := meminfo(path + "-none"); err == nil {
		t.Error("got no error for a file that is not there")
	}
}

func TestUptime(t *testing.T) {
	got, err := uptime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	shape := regexp.MustCompile(`^ 03:04:05 up \d+ days, [ \d]\d:\d\d,  0 users,  load average: \d+\.\d\d, \d+\.\d\d, \d+\.\d\d$`)
	if !shape.MatchString(got) {
		t.Errorf("got %q", got)
	}
}

func TestReport(t *testing.T) {
	host, err := New(t.Context(), enginetest.New(), network.Kernel{}, devices.New(t.TempDir(), nil, nil), agenttest.Quiet()).Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if host.Architecture != "x86_64" || host.VCPUs != 8 || host.EngineVersion != 20010024 {
		t.Errorf("got %+v", host)
	}
	if host.MemoryMB <= 0 || host.MemoryUsedMB <= 0 || host.MemoryUsedMB > host.MemoryMB {
		t.Errorf("got %d MiB used of %d", host.MemoryUsedMB, host.MemoryMB)
	}
	if host.DiskUsedGB < 0 || host.DiskUsedGB > host.DiskGB || host.Uptime == "" {
		t.Errorf("got %+v", host)
	}
}

func TestReportTellsOfOthers(t *testing.T) {
	engine := enginetest.New()
	engine.PutOther("db", nil, 64<<20)
	host, err := New(t.Context(), engine, network.Kernel{}, devices.New(t.TempDir(), nil, nil), agenttest.Quiet()).Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if host.MemoryForeignMB != 64 || host.DiskForeignGB < host.DiskUsedGB || host.DiskForeignGB > host.DiskGB+1 {
		t.Errorf("got %+v", host)
	}
	if len(host.NUMANodes) == 0 || host.PageKB < 4 || host.RootDisks.Limited || host.RootDisks.Reason == "" {
		t.Errorf("got %+v", host)
	}
}
