package agent

import (
	"testing"
	"time"
)

func TestDescribe(t *testing.T) {
	host := Host{DiskGB: 100, DiskUsedGB: 7, RootDisks: RootDisks{Limited: true, Reason: "btrfs"}}
	if got, want := describe(host, nil), "7 of 100 GB of disk are used; root disks are limited by btrfs"; got != want {
		t.Errorf("got %s", got)
	}
	host.RootDisks = RootDisks{Reason: "ext4 has no quotas"}
	host.Lacks = []string{"it has no IPv6: servers go without"}
	failure := &Failure{At: time.Unix(0, 0).UTC(), Request: "PUT /v1/images/1", Reason: "no room"}
	const want = "7 of 100 GB of disk are used; root disks are not limited: ext4 has no quotas; warning: it has no IPv6: servers go without; what failed last, at 1970-01-01T00:00:00Z: PUT /v1/images/1: no room"
	if got := describe(host, failure); got != want {
		t.Errorf("got %s", got)
	}
}

func TestOrphansAreDescribed(t *testing.T) {
	for want, orphan := range map[string]Orphan{
		"the veth pair tap1 of server 2":                                                   {Kind: "port", Name: "tap1", Server: "2"},
		"the network of container 0123456789ab, which Docker does not know":                {Kind: "network", Name: "0123456789abcdef"},
		"the image sha256:0123456789ab, which was made of server 2 and which nothing uses": {Kind: "image", Name: "sha256:0123456789abcdef", Server: "2"},
		"the container ndock-2, of whose server nothing else is here":                      {Kind: "container", Name: "ndock-2", Server: "2"},
		"server 2, whose container is gone since 1970-01-01 00:00 or was never made":       {Kind: "server", Name: "2", Since: time.Unix(0, 0).UTC()},
	} {
		if got := orphan.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
