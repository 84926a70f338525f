package commands

import (
	"testing"
	"time"

	"ndock/docker/agent"
)

func TestHowTheAgentDoes(t *testing.T) {
	host := agent.Host{DiskGB: 100, DiskUsedGB: 7, RootDisks: agent.RootDisks{Limited: true, Reason: "btrfs"}}
	if got, want := describeHost(host, nil), "7 of 100 GB of disk are used; root disks are limited by btrfs"; got != want {
		t.Errorf("got %s", got)
	}
	host.RootDisks = agent.RootDisks{Reason: "ext4 has no quotas"}
	host.Lacks = []string{"it has no IPv6: servers go without"}
	failure := &agent.Failure{At: time.Unix(0, 0).UTC(), Request: "PUT /v1/images/1", Reason: "no room"}
	const want = "7 of 100 GB of disk are used; root disks are not limited: ext4 has no quotas; warning: it has no IPv6: servers go without; what failed last, at 1970-01-01T00:00:00Z: PUT /v1/images/1: no room"
	if got := describeHost(host, failure); got != want {
		t.Errorf("got %s", got)
	}
}
