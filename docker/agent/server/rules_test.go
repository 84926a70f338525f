package server

import (
	"slices"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-units"

	"ndock/docker/agent/config"
)

func TestTheOperatorsRules(t *testing.T) {
	rules := config.Default()
	rules.NoNewPrivileges = false
	rules.Seccomp, rules.SeccompProfile = "/p.json", `{"defaultAction":"SCMP_ACT_ALLOW"}`
	rules.AppArmor = "mine"
	rules.CapDrop, rules.CapAdd = []string{"NET_RAW"}, []string{"SYS_PTRACE"}
	rules.PidsLimit, rules.ShmSizeMB = 10, 1
	rules.Ulimits = []*units.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}}
	got := container.HostConfig{}
	applyRules(rules, &got)
	pids := int64(10)
	wantHost(t, got, container.HostConfig{
		SecurityOpt: []string{`seccomp={"defaultAction":"SCMP_ACT_ALLOW"}`, "apparmor=mine"},
		CapDrop:     []string{"NET_RAW"}, CapAdd: []string{"SYS_PTRACE"}, ShmSize: 1 << 20,
		Resources: container.Resources{PidsLimit: &pids, Ulimits: []*units.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}}},
	})
}

func TestUnconfined(t *testing.T) {
	rules := config.Default()
	rules.Seccomp = "unconfined"
	if got := securityOptions(rules); !slices.Equal(got, []string{"no-new-privileges", "seccomp=unconfined"}) {
		t.Errorf("got %q", got)
	}
}

// TestAFlavorGoesBeforeTheOperatorsDefault, for that server alone.
func TestAFlavorGoesBeforeTheOperatorsDefault(t *testing.T) {
	rules := config.Default()
	rules.Ulimits = []*units.Ulimit{{Name: "core", Soft: 1, Hard: 1}, {Name: "nofile", Soft: 1, Hard: 2}}
	var host container.HostConfig
	applyRules(rules, &host)
	if err := (extraSpecs{"ndock:ulimit_nofile": "5", "ndock:pids_limit": "7"}).ownLimits(&host); err != nil {
		t.Fatal(err)
	}
	if len(host.Ulimits) != 2 || host.Ulimits[1].Soft != 5 || *host.PidsLimit != 7 {
		t.Errorf("got %v and %d processes", host.Ulimits, *host.PidsLimit)
	}
	if rules.Ulimits[1].Soft != 1 || rules.PidsLimit != 4096 {
		t.Errorf("the next server gets %v", rules.Ulimits)
	}
}
