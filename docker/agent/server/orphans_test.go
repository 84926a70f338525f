package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
)

const otherID = "0b6ba3c1-5a11-4222-8333-444455556666"

func makeServerDir(t *testing.T, e *engine, uuid string, age time.Duration) string {
	t.Helper()
	dir := filepath.Join(stateOf(t, e), uuid)
	then := time.Now().Add(-age)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(dir, then, then); err != nil {
		t.Fatal(err)
	}
	return dir
}

func wantOrphans(t *testing.T, e *engine, method string, want ...string) {
	t.Helper()
	status, body := ask(t, e, method, "/v1/orphans", "")
	wantOK(t, status, body)
	if got := strings.Count(body, `"kind"`); got != len(want) {
		t.Errorf("%s: got %s, want %q", method, body, want)
	}
	for _, part := range want {
		if !strings.Contains(body, part) {
			t.Errorf("%s: got %s, want %q", method, body, part)
		}
	}
}

func TestACableThatIsWrittenDownNowhere(t *testing.T) {
	ownNetwork(t)
	e := newEngine()
	e.putServer(container.StateRunning)
	status, body := ask(t, e, "PUT", "/v1/instances/"+serverID+"/ports", vifs("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"))
	wantOK(t, status, body)
	wantOrphans(t, e, "GET")
	record := filepath.Join(stateOf(t, e), serverID, "ports.json")
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	less := strings.ReplaceAll(string(text), "bbbbbbbb-bbbb", "cccccccc-cccc") // one that is not plugged, in place of one that is
	if err := os.WriteFile(record, []byte(less), 0o600); err != nil {
		t.Fatal(err)
	}
	want := `{"kind":"port","name":"tapbbbbbbbb-bb","server":"` + serverID + `"`
	wantOrphans(t, e, "GET", want)
	wantOrphans(t, e, "DELETE", want)
	wantOrphans(t, e, "DELETE")
	if got := taps(t); len(got) != 1 || got[0] != "tapaaaaaaaa-aa" {
		t.Errorf("there is %q", got)
	}
}

// Cables that another agent has plugged, or somebody else, are theirs.
func TestTheCablesOfOthers(t *testing.T) {
	ownNetwork(t)
	status, body := ask(t, newEngine(), "PUT", "/v1/instances/"+serverID+"/ports", vifs("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"))
	wantOK(t, status, body)
	wantOrphans(t, newEngine(), "DELETE")
	if got := taps(t); len(got) != 1 {
		t.Errorf("there is %q", got)
	}
}

// A server that has no container may be about to get one, for a while.
func TestAServerWithoutAContainer(t *testing.T) {
	e := newEngine()
	fresh := makeServerDir(t, e, serverID, time.Minute)
	wantOrphans(t, e, "GET", `"server":"`+serverID+`"`)
	wantOrphans(t, e, "GET", `"sure":false`)
	wantOrphans(t, e, "DELETE")
	old := makeServerDir(t, e, otherID, patience+time.Minute)
	noServers := makeServerDir(t, e, "lost+found", patience+time.Minute)
	wantOrphans(t, e, "DELETE", `"name":"`+otherID+`"`)
	for dir, want := range map[string]bool{fresh: true, old: false, noServers: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// Also one whose container is set aside is a server; a label that an image has brought makes none.
func TestAServerWithAContainer(t *testing.T) {
	e := newEngine()
	e.put(asideName(serverID), map[string]string{labelServer: serverID}, container.StateExited)
	e.put("somebody", map[string]string{labelServer: otherID}, container.StateExited)
	makeServerDir(t, e, serverID, patience+time.Minute)
	makeServerDir(t, e, otherID, patience+time.Minute)
	wantOrphans(t, e, "DELETE", `"name":"`+otherID+`"`)
}

func TestTheNetworkOfAContainerThatIsGone(t *testing.T) {
	e := newEngine()
	e.putServer(container.StateRunning)
	_, found, _ := e.find(namePrefix + serverID)
	s := New(t.Context(), e, Options{State: t.TempDir(), Holders: t.TempDir(), Names: t.TempDir()}, quiet())
	for _, id := range []string{found.ID, "0123456789abcdef"} {
		for _, err := range []error{
			os.WriteFile(filepath.Join(s.holders, id), nil, 0o600),
			os.Mkdir(filepath.Join(s.names, id), 0o700), os.WriteFile(filepath.Join(s.names, id, "hosts"), nil, 0o600),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Mkdir(filepath.Join(s.names, "fedcba9876543210"), 0o700); err != nil {
		t.Fatal(err)
	}
	removed, err := s.removeOrphans(t.Context())
	if err != nil || len(removed) != 2 || removed[0].Name != "0123456789abcdef" || removed[1].Name != "fedcba9876543210" {
		t.Errorf("removed %v, %v", removed, err)
	}
	for _, dir := range []string{s.holders, s.names} {
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != found.ID {
			t.Errorf("left %v, %v", left, err)
		}
	}
}

// Nothing is removed that cannot be told from a server's.
func TestOrphansWhileDockerIsAway(t *testing.T) {
	e := newEngine()
	dir := makeServerDir(t, e, serverID, patience+time.Minute)
	e.fail["ContainerList"] = errAway
	status, body := ask(t, e, "DELETE", "/v1/orphans", "")
	wantFault(t, status, body, 500, "failed")
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

// An engine whose data directory is not mounted, or another today, has none of the containers, and all servers are there.
func TestOrphansOfAnotherEngine(t *testing.T) {
	e := newEngine()
	e.info.ID = "AAAA:BBBB"
	dir := makeServerDir(t, e, serverID, 0)
	for _, test := range []struct {
		id   string
		want bool
	}{{"CCCC:DDDD", true}, {"AAAA:BBBB", false}} {
		if err := os.WriteFile(filepath.Join(dir, engineFile), []byte(test.id), 0o600); err != nil {
			t.Fatal(err)
		}
		makeServerDir(t, e, serverID, patience+time.Minute)
		status, body := ask(t, e, "DELETE", "/v1/orphans", "")
		wantOK(t, status, body)
		if _, err := os.Stat(dir); (err == nil) != test.want {
			t.Errorf("made by %s: %v", test.id, err)
		}
	}
}

// TestARebuildIsNoOrphan: the old container is gone, and the new one's image may take an hour to come.
func TestARebuildIsNoOrphan(t *testing.T) {
	e := newEngine()
	e.putServer(container.StateExited)
	dir := makeServerDir(t, e, serverID, patience+time.Minute)
	status, body := ask(t, e, "DELETE", "/v1/instances/"+serverID+"?keep=ports", "")
	wantOK(t, status, body)
	wantOrphans(t, e, "DELETE")
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

// One record that cannot be read keeps nobody from removing the rest.
func TestARecordThatIsDamaged(t *testing.T) {
	ownNetwork(t)
	e := newEngine()
	e.putServer(container.StateRunning)
	status, body := ask(t, e, "PUT", "/v1/instances/"+serverID+"/ports", vifs("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"))
	wantOK(t, status, body)
	if err := os.WriteFile(filepath.Join(stateOf(t, e), serverID, "ports.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := makeServerDir(t, e, otherID, patience+time.Minute)
	status, body = ask(t, e, "DELETE", "/v1/orphans", "")
	wantFault(t, status, body, 500, "failed")
	if _, err := os.Stat(old); err == nil {
		t.Errorf("%s is still there", old)
	}
	if got := taps(t); len(got) != 1 {
		t.Errorf("there is %q", got)
	}
}
