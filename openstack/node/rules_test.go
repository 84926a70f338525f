package node

import (
	"os"
	"strings"
	"testing"
	"time"
)

const rulesFile = "/etc/ndock/agent.yaml"

// TestTheOperatorsFileIsWrittenOnce, and from then on is his.
func TestTheOperatorsFileIsWrittenOnce(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	if got, err := os.ReadFile(f.path(rulesFile)); err != nil || string(got) != string(f.Rules) {
		t.Fatalf("got %q, %v", got, err)
	}
	f.put(rulesFile, "no_new_privileges: false\n", 0o600)
	f.Rules = []byte("# the rules of a newer release\n")
	_, err = f.setup()
	f.must(err)
	if got, err := os.ReadFile(f.path(rulesFile)); err != nil || string(got) != "no_new_privileges: false\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAChangeOfTheOperatorsRestartsTheAgent(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	later := time.Now().Add(time.Hour)
	f.must(os.Chtimes(f.path(rulesFile), later, later))
	if got := f.plan(); got != "agent: restart service ndock-agent" {
		t.Errorf("planned\n%s", got)
	}
}

func TestTeardownLeavesWhatTheOperatorWrote(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	f.put(rulesFile, "pids_limit: 100\n", 0o644)
	var said lines
	_, err = Teardown(t.Context(), f.Steps(), said.report)
	f.must(err)
	if want := "agent: left " + f.path(rulesFile) + ", which was edited"; !strings.Contains(said.String(), want) {
		t.Errorf("said\n%s", said.String())
	}
	if got, err := os.ReadFile(f.path(rulesFile)); err != nil || string(got) != "pids_limit: 100\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if changed, err := Teardown(t.Context(), f.Steps(), said.report); changed || err != nil {
		t.Errorf("again: got %v, %v", changed, err)
	}
}

func TestStatusTellsOfRootDisks(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	if got := f.look("agent"); got.Detail != "ndock's agent 1.0 answers; root disks are limited by btrfs" {
		t.Errorf("got %v", got)
	}
}
