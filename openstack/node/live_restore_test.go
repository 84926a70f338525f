package node

import (
	"os"
	"strings"
	"testing"
)

const daemonJSON = "/etc/docker/daemon.json"

func TestLiveRestoreIsAddedToTheOperatorsFile(t *testing.T) {
	for before, want := range map[string]string{
		"":    "{\n  \"live-restore\": true\n}\n",
		"{ }": "{\n  \"live-restore\": true\n}\n",
		" {\n\t\"log-opts\": {\"max-size\": \"1m\"},\n\t\"debug\":true }": " {\n  \"live-restore\": true,\n\t\"log-opts\": {\"max-size\": \"1m\"},\n\t\"debug\":true }",
	} {
		f := newFake(t, false)
		f.put(daemonJSON, before, 0o600)
		tree := f.tree()
		_, err := f.setup()
		f.must(err)
		got, err := os.ReadFile(f.path(daemonJSON))
		f.must(err)
		if string(got) != want || !f.live {
			t.Errorf("%q became %q, live-restore %t", before, got, f.live)
		}
		_, err = Teardown(t.Context(), f.Steps(), new(lines).report)
		f.must(err)
		if f.tree() != tree || f.live {
			t.Errorf("after teardown live-restore is %t, and the tree\n%s", f.live, f.tree())
		}
	}
}

// What the operator has decided is his.
func TestLiveRestoreIsLeftAlone(t *testing.T) {
	for name, test := range map[string]struct {
		cause func(f *fakeMachine)
		says  string
	}{
		"switched off by hand": {func(f *fakeMachine) { f.put(daemonJSON, `{"live-restore": false}`, 0o600) }, "off: servers stop when Docker Engine is restarted ("},
		"on by a flag":         {func(f *fakeMachine) { f.live = true }, "servers run on"},
		"in a swarm":           {func(f *fakeMachine) { f.swarm = true }, "the engine is in a swarm"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, false)
			test.cause(f)
			said, err := f.setup()
			f.must(err)
			if strings.Contains(strings.Join(f.commands, "\n"), "kill") || !strings.Contains(said, "live-restore: "+test.says) {
				t.Errorf("ran %q, said\n%s", f.commands, said)
			}
		})
	}
}

func TestDaemonJSONThatWasEditedSinceStays(t *testing.T) {
	f := newFake(t, false)
	f.put(daemonJSON, `{"debug": true}`, 0o600)
	_, err := f.setup()
	f.must(err)
	f.put(daemonJSON, `{"live-restore": true}`, 0o600)
	var said lines
	_, err = Teardown(t.Context(), f.Steps(), said.report)
	f.must(err)
	if got, _ := os.ReadFile(f.path(daemonJSON)); string(got) != `{"live-restore": true}` || !strings.Contains(said.String(), "edited since") {
		t.Errorf("it is %s; said\n%s", got, &said)
	}
}
