package instance_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
	"ndock/docker/agent/server"
	"ndock/docker/engine"
	"ndock/docker/engine/enginetest"
	"ndock/docker/network/networktest"
	"ndock/docker/ociruntime"
)

const otherID = "0b6ba3c1-5a11-4222-8333-444455556666"

func makeServerDir(t *testing.T, e *enginetest.Engine, uuid string, age time.Duration) string {
	t.Helper()
	dir := filepath.Join(agenttest.StateOf(t, e), uuid)
	then := time.Now().Add(-age)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(dir, then, then); err != nil {
		t.Fatal(err)
	}
	return dir
}

func wantOrphans(t *testing.T, e *enginetest.Engine, method string, want ...string) {
	t.Helper()
	status, body := ask(t, e, method, "/v1/orphans", "")
	agenttest.WantOK(t, status, body)
	if got := strings.Count(body, `"kind"`); got != len(want) {
		t.Errorf("%s: got %s, want %q", method, body, want)
	}
	for _, part := range want {
		if !strings.Contains(body, part) {
			t.Errorf("%s: got %s, want %q", method, body, part)
		}
	}
}

func TestAVethPairThatIsNotRecorded(t *testing.T) {
	networktest.Own(t)
	e := enginetest.New()
	e.PutServer(container.StateRunning)
	status, body := ask(t, e, "PUT", "/v1/instances/"+enginetest.ServerID+"/ports", vifs("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"))
	agenttest.WantOK(t, status, body)
	wantOrphans(t, e, "GET")
	record := filepath.Join(agenttest.StateOf(t, e), enginetest.ServerID, "ports.json")
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	less := strings.ReplaceAll(string(text), "bbbbbbbb-bbbb", "cccccccc-cccc") // one that is not plugged, in place of one that is
	if err := os.WriteFile(record, []byte(less), 0o600); err != nil {
		t.Fatal(err)
	}
	want := `{"kind":"port","name":"tapbbbbbbbb-bb","server":"` + enginetest.ServerID + `"`
	wantOrphans(t, e, "GET", want)
	wantOrphans(t, e, "DELETE", want)
	wantOrphans(t, e, "DELETE")
	if got := taps(t); len(got) != 1 || got[0] != "tapaaaaaaaa-aa" {
		t.Errorf("there is %q", got)
	}
}

// Veth pairs that another agent has plugged, or somebody else, are theirs.
func TestTheVethPairsOfOthers(t *testing.T) {
	networktest.Own(t)
	status, body := ask(t, enginetest.New(), "PUT", "/v1/instances/"+enginetest.ServerID+"/ports", vifs("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"))
	agenttest.WantOK(t, status, body)
	wantOrphans(t, enginetest.New(), "DELETE")
	if got := taps(t); len(got) != 1 {
		t.Errorf("there is %q", got)
	}
}

// A server that has no container may be about to get one, for a while.
func TestAServerWithoutAContainer(t *testing.T) {
	e := enginetest.New()
	fresh := makeServerDir(t, e, enginetest.ServerID, time.Minute)
	wantOrphans(t, e, "GET", `"server":"`+enginetest.ServerID+`"`)
	wantOrphans(t, e, "GET", `"sure":false`)
	wantOrphans(t, e, "DELETE")
	old := makeServerDir(t, e, otherID, instance.AbandonedAfter+time.Minute)
	noServers := makeServerDir(t, e, "lost+found", instance.AbandonedAfter+time.Minute)
	wantOrphans(t, e, "DELETE", `"name":"`+otherID+`"`)
	for dir, want := range map[string]bool{fresh: true, old: false, noServers: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// Also one of which only a backup is here is a server; a label that an image has brought makes none.
func TestAServerWithAContainer(t *testing.T) {
	e := enginetest.New()
	e.Put(naming.Backup(enginetest.ServerID), map[string]string{naming.LabelServer: enginetest.ServerID}, container.StateExited)
	e.Put("somebody", map[string]string{naming.LabelServer: otherID}, container.StateExited)
	makeServerDir(t, e, enginetest.ServerID, instance.AbandonedAfter+time.Minute)
	makeServerDir(t, e, otherID, instance.AbandonedAfter+time.Minute)
	wantOrphans(t, e, "DELETE", `"name":"`+otherID+`"`)
}

func TestTheNetworkOfAContainerThatIsGone(t *testing.T) {
	e := enginetest.New()
	e.PutServer(container.StateRunning)
	_, found, _ := e.Find(naming.Container(enginetest.ServerID))
	namespaces, names := t.TempDir(), t.TempDir()
	s := newServer(t, e, server.Options{State: t.TempDir(), Namespaces: namespaces, Names: names})
	for _, id := range []string{found.ID, "0123456789abcdef"} {
		for _, err := range []error{
			os.WriteFile(filepath.Join(namespaces, id), nil, 0o600),
			os.Mkdir(filepath.Join(names, id), 0o700), os.WriteFile(filepath.Join(names, id, "hosts"), nil, 0o600),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Mkdir(filepath.Join(names, "fedcba9876543210"), 0o700); err != nil {
		t.Fatal(err)
	}
	status, body := askServer(t, s, "DELETE", "/v1/orphans", "")
	agenttest.WantOK(t, status, body)
	var removed []agent.Orphan
	if err := json.Unmarshal([]byte(body), &removed); err != nil || len(removed) != 2 || removed[0].Name != "0123456789abcdef" || removed[1].Name != "fedcba9876543210" {
		t.Errorf("removed %s, %v", body, err)
	}
	for _, dir := range []string{namespaces, names} {
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != found.ID {
			t.Errorf("left %v, %v", left, err)
		}
	}
}

// TestTheNetworkOfAContainerThatMayComeBack: an engine without its data knows no container, while they run.
func TestTheNetworkOfAContainerThatMayComeBack(t *testing.T) {
	e := enginetest.New()
	e.SystemInfo.ID = "AAAA"
	on, err := engine.ID(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	state, namespaces, choices := t.TempDir(), t.TempDir(), t.TempDir()
	s := newServer(t, e, server.Options{State: state, Namespaces: namespaces, Names: t.TempDir(), Choices: choices})
	of := func(server string) string { return filepath.Join(state, server) }
	if err := os.Mkdir(of(enginetest.ServerID), 0o700); err != nil {
		t.Fatal(err)
	}
	for id, choice := range map[string]ociruntime.Choice{
		"of-a-server": {Server: of(enginetest.ServerID), Engine: on}, "of-another-engine": {Server: of(otherID), Engine: "another"},
		"of-no-server": {Server: of(otherID), Engine: on},
	} {
		if err := errors.Join(choice.Record(choices, id), os.WriteFile(filepath.Join(namespaces, id), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	status, body := askServer(t, s, "DELETE", "/v1/orphans", "")
	if agenttest.WantOK(t, status, body); strings.Count(body, `"network"`) != 1 || !strings.Contains(body, "of-no-server") {
		t.Errorf("removed %s", body)
	}
	status, body = askServer(t, s, "GET", "/v1/orphans", "")
	if agenttest.WantOK(t, status, body); strings.Count(body, `"network"`) != 2 {
		t.Errorf("left %s", body)
	}
}

// A container that Docker has made after all, of whose server nothing else is here, is told.
func TestAContainerWithoutADirectory(t *testing.T) {
	e := enginetest.New()
	e.PutServer(container.StateExited)
	want := `{"kind":"container","name":"` + naming.Container(enginetest.ServerID) + `","server":"` + enginetest.ServerID + `"`
	wantOrphans(t, e, "GET", want)
	wantOrphans(t, e, "DELETE")
	makeServerDir(t, e, enginetest.ServerID, time.Minute)
	wantOrphans(t, e, "GET")
}

// Nothing is removed that cannot be told from a server's.
func TestOrphansWhileDockerIsAway(t *testing.T) {
	e := enginetest.New()
	dir := makeServerDir(t, e, enginetest.ServerID, instance.AbandonedAfter+time.Minute)
	e.Fail["ContainerList"] = enginetest.ErrAway
	status, body := ask(t, e, "DELETE", "/v1/orphans", "")
	agenttest.WantFault(t, status, body, 500, "failed")
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

// engineID is what the agent records of an engine.
func engineID(t *testing.T, of *enginetest.Engine) string {
	t.Helper()
	id, err := engine.ID(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// An engine whose data directory is not mounted, or another today, has none of the containers, and all servers are there. Nor is
// the engine's id alone, which an earlier release has recorded, enough to know them for lost.
func TestOrphansOfAnotherEngine(t *testing.T) {
	e := enginetest.New()
	e.SystemInfo.ID = "AAAA:BBBB"
	dir := makeServerDir(t, e, enginetest.ServerID, 0)
	for _, test := range []struct {
		id   string
		want bool
	}{{"CCCC:DDDD", true}, {"AAAA:BBBB", true}, {engineID(t, e), false}} {
		if err := os.WriteFile(filepath.Join(dir, instance.EngineFile), []byte(test.id), 0o600); err != nil {
			t.Fatal(err)
		}
		makeServerDir(t, e, enginetest.ServerID, instance.AbandonedAfter+time.Minute)
		status, body := ask(t, e, "DELETE", "/v1/orphans", "")
		agenttest.WantOK(t, status, body)
		if _, err := os.Stat(dir); (err == nil) != test.want {
			t.Errorf("made by %s: %v", test.id, err)
		}
	}
}

// TestOrphansOfAnEngineThatWasStartedBeforeItsDisk was mounted: it knows of none of the containers that are on the disk.
func TestOrphansOfAnEngineThatWasStartedBeforeItsDisk(t *testing.T) {
	e := enginetest.New()
	root := t.TempDir()
	e.SystemInfo.ID, e.SystemInfo.DockerRootDir = "AAAA:BBBB", root
	dir := makeServerDir(t, e, enginetest.ServerID, 0)
	if err := os.WriteFile(filepath.Join(dir, instance.EngineFile), []byte(engineID(t, e)), 0o600); err != nil {
		t.Fatal(err)
	}
	onDisk := filepath.Join(root, "containers", strings.Repeat("1", 64))
	settings := `{"ID":"1","Name":"/` + naming.Container(enginetest.ServerID) + `"}`
	if err := errors.Join(os.MkdirAll(onDisk, 0o700), os.WriteFile(filepath.Join(onDisk, "config.v2.json"), []byte(settings), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, kept := range []bool{true, false} {
		makeServerDir(t, e, enginetest.ServerID, instance.AbandonedAfter+time.Minute)
		status, body := ask(t, e, "DELETE", "/v1/orphans", "")
		agenttest.WantOK(t, status, body)
		if _, err := os.Stat(dir); (err == nil) != kept {
			t.Errorf("kept is to be %t: %v", kept, err)
		}
		if err := os.RemoveAll(onDisk); err != nil {
			t.Fatal(err)
		}
	}
}

// TestARebuildIsNoOrphan: the old container is gone, and the new one's image may take an hour to come.
func TestARebuildIsNoOrphan(t *testing.T) {
	e := enginetest.New()
	e.PutServer(container.StateExited)
	dir := makeServerDir(t, e, enginetest.ServerID, instance.AbandonedAfter+time.Minute)
	status, body := ask(t, e, "DELETE", "/v1/instances/"+enginetest.ServerID+"?keep=ports", "")
	agenttest.WantOK(t, status, body)
	wantOrphans(t, e, "DELETE")
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

// One record that cannot be read keeps nobody from removing the rest.
func TestARecordThatIsDamaged(t *testing.T) {
	networktest.Own(t)
	e := enginetest.New()
	e.PutServer(container.StateRunning)
	status, body := ask(t, e, "PUT", "/v1/instances/"+enginetest.ServerID+"/ports", vifs("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"))
	agenttest.WantOK(t, status, body)
	if err := os.WriteFile(filepath.Join(agenttest.StateOf(t, e), enginetest.ServerID, "ports.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := makeServerDir(t, e, otherID, instance.AbandonedAfter+time.Minute)
	status, body = ask(t, e, "DELETE", "/v1/orphans", "")
	agenttest.WantFault(t, status, body, 500, "failed")
	if _, err := os.Stat(old); err == nil {
		t.Errorf("%s is still there", old)
	}
	if got := taps(t); len(got) != 1 {
		t.Errorf("there is %q", got)
	}
}

// TestAnOrphanOfAServerThatIsBusy stays: a verb may be about to make the server's container.
func TestAnOrphanOfAServerThatIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enginetest.New()
		dir := makeServerDir(t, e, enginetest.ServerID, instance.AbandonedAfter+time.Minute)
		s := newInstances(e, instance.Options{State: e.State, Namespaces: t.TempDir(), Names: t.TempDir()})
		defer s.Power.Lock(t.Context(), enginetest.ServerID)()
		removed, err := s.Orphans.Remove(t.Context())
		if err == nil || len(removed) > 0 {
			t.Errorf("removed %v, %v", removed, err)
		}
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
	})
}
