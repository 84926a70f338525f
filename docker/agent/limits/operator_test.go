package limits

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-units"

	"ndock/docker/agent/config"
)

func TestTheOperatorsRules(t *testing.T) {
	operators := config.Default()
	operators.NoNewPrivileges = false
	operators.Seccomp, operators.SeccompProfile = "/p.json", `{"defaultAction":"SCMP_ACT_ALLOW"}`
	operators.CapDrop, operators.CapAdd = []string{"NET_RAW"}, []string{"SYS_PTRACE"}
	operators.PidsLimit, operators.ShmSizeMB = 10, 1
	operators.Ulimits = []*units.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}}
	got := container.HostConfig{}
	applyConfig(&got, operators, "mine")
	pids := int64(10)
	wantHost(t, got, container.HostConfig{
		SecurityOpt: []string{`seccomp={"defaultAction":"SCMP_ACT_ALLOW"}`, "apparmor=mine"},
		CapDrop:     []string{"NET_RAW"}, CapAdd: []string{"SYS_PTRACE"}, ShmSize: 1 << 20,
		Resources: container.Resources{PidsLimit: &pids, Ulimits: []*units.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}}},
	})
}

func TestUnconfined(t *testing.T) {
	operators := config.Default()
	operators.Seccomp = "unconfined"
	if got := securityOptions(operators, ""); !slices.Equal(got, []string{"no-new-privileges", "seccomp=unconfined"}) {
		t.Errorf("got %q", got)
	}
}

// TestAFlavorGoesBeforeTheOperatorsDefault, for that server alone.
func TestAFlavorGoesBeforeTheOperatorsDefault(t *testing.T) {
	operators := config.Default()
	operators.Ulimits = []*units.Ulimit{{Name: "core", Soft: 1, Hard: 1}, {Name: "nofile", Soft: 1, Hard: 2}}
	var host container.HostConfig
	applyConfig(&host, operators, "")
	if err := (extraSpecs{"ndock:ulimit_nofile": "5", "ndock:pids_limit": "7"}).ownLimits(&host); err != nil {
		t.Fatal(err)
	}
	if len(host.Ulimits) != 2 || host.Ulimits[1].Soft != 5 || *host.PidsLimit != 7 {
		t.Errorf("got %v and %d processes", host.Ulimits, *host.PidsLimit)
	}
	if operators.Ulimits[1].Soft != 1 || operators.PidsLimit != 4096 {
		t.Errorf("the next server gets %v", operators.Ulimits)
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
