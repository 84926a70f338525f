package server

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/network"
)

const serverPath = "/v1/instances/" + serverID

func TestGraceOf(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "60": time.Minute, "1800": maxGrace, "1801": maxGrace,
		"9223372037":          maxGrace, // more nanoseconds than an int64 holds
		"9223372036854775807": maxGrace,
	} {
		if got, err := graceOf(httptest.NewRequest("POST", "/?grace="+text, nil)); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1.5", "1m", "9223372036854775808", "nonsense"} {
		if got, err := graceOf(httptest.NewRequest("POST", "/?grace="+text, nil)); err == nil || fault(err).Code != agent.BadRequest {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}

func TestFind(t *testing.T) {
	other := "11111111-2222-4333-8444-555555555555"
	for name, c := range map[string]struct {
		uuid, container, label string
		code                   string // "" is found
	}{
		"found":             {serverID, namePrefix + serverID, serverID, ""},
		"none":              {serverID, namePrefix + other, other, agent.NoSuchInstance},
		"label of another":  {serverID, namePrefix + serverID, other, agent.NoSuchInstance},
		"no label":          {serverID, namePrefix + serverID, "", agent.NoSuchInstance},
		"a name, no id":     {"web", namePrefix + "web", "web", agent.BadRequest},
		"capitals":          {strings.ToUpper(serverID), "", "", agent.BadRequest},
		"more than an id":   {serverID + "0", "", "", agent.BadRequest},
		"a line after it":   {serverID + "\n", "", "", agent.BadRequest},
		"a path":            {"../" + serverID, "", "", agent.BadRequest},
		"nothing":           {"", "", "", agent.BadRequest},
		"only the name fit": {serverID, serverID, serverID, agent.NoSuchInstance},
	} {
		engine := newEngine()
		engine.put(c.container, map[string]string{labelServer: c.label}, container.StateRunning)
		found, err := New(t.Context(), engine, Options{Version: "1.0", State: t.TempDir()}, quiet()).find(t.Context(), c.uuid)
		if c.code == "" && (err != nil || found.ID == "") || c.code != "" && (err == nil || fault(err).Code != c.code) {
			t.Errorf("%s: got %v, %v", name, found.ID, err)
		}
	}
}

// TestInstances: a label can be brought by an image, which a tenant makes; a container's name cannot.
func TestInstances(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StatePaused)
	engine.put("eager_euler", map[string]string{labelServer: "11111111-2222-4333-8444-555555555555"}, container.StateRunning)
	engine.put("ndock-registry", map[string]string{}, container.StateRunning)
	status, body := ask(t, engine, "GET", "/v1/instances", "")
	wantOK(t, status, body)
	var got []agent.Instance
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := agent.Instance{UUID: serverID, Name: "web", ContainerID: strings.Repeat("c", 64), State: agent.Paused}
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %+v", got)
	}
}

// TestNoInstances: an empty list, and not null, which Python would not iterate over.
func TestNoInstances(t *testing.T) {
	if status, body := ask(t, newEngine(), "GET", "/v1/instances", ""); status != 200 || strings.TrimSpace(body) != "[]" {
		t.Errorf("got %d %s", status, body)
	}
}

func TestGetInstance(t *testing.T) {
	engine := newEngine()
	status, body := ask(t, engine, "GET", serverPath, "")
	wantFault(t, status, body, 404, agent.NoSuchInstance)
	engine.putServer(container.StateExited)
	state := engine.containers[namePrefix+serverID].State
	state.ExitCode, state.OOMKilled = 137, true
	status, body = ask(t, engine, "GET", serverPath, "")
	var got agent.Instance
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
		t.Fatalf("got %d %s, %v", status, body, err)
	}
	want := agent.Instance{
		UUID: serverID, Name: "web", ContainerID: strings.Repeat("c", 64), State: agent.Stopped, ExitCode: 137, OOMKilled: true,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestState(t *testing.T) {
	for docker, want := range map[container.ContainerState]agent.State{
		container.StateCreated: agent.Stopped, container.StateRunning: agent.Running, container.StatePaused: agent.Paused,
		container.StateRestarting: agent.Running, container.StateRemoving: agent.Stopped,
		container.StateExited: agent.Stopped, container.StateDead: agent.Crashed, "": agent.Stopped,
	} {
		if got := state(docker); got != want {
			t.Errorf("%s: got %s, want %s", docker, got, want)
		}
	}
}

// TestVerbs: each brings a server to the state that it names, from any other, and is content when it is there.
func TestVerbs(t *testing.T) {
	const running, paused, exited = container.StateRunning, container.StatePaused, container.StateExited
	starts := []string{"ContainerStatPath /etc/passwd", "ContainerStatPath /etc/group", "ContainerStart"}
	for _, c := range []struct {
		verb string
		from container.ContainerState
		want []string
		to   container.ContainerState
	}{
		{"start", exited, starts, running},
		{"start", running, []string{"ContainerStart"}, running},
		{"start", paused, []string{"ContainerUnpause"}, running},
		{"stop?grace=7", running, []string{"ContainerStop(7)"}, exited},
		{"stop?grace=0", running, []string{"ContainerStop(0)"}, exited},
		{"stop?grace=7", paused, []string{"ContainerUnpause", "ContainerStop(7)"}, exited},
		{"stop?grace=7", exited, nil, exited},
		{"restart?grace=7", running, append([]string{"ContainerStop(7)"}, starts...), running},
		{"restart?grace=7", paused, append([]string{"ContainerUnpause", "ContainerStop(7)"}, starts...), running},
		{"restart?grace=7", exited, starts, running},
		{"pause", running, []string{"ContainerPause"}, paused},
		{"pause", paused, nil, paused},
		{"unpause", paused, []string{"ContainerUnpause"}, running},
		{"unpause", running, nil, running},
	} {
		engine := newEngine()
		engine.putServer(c.from)
		status, body := ask(t, engine, "POST", serverPath+"/"+c.verb, "")
		wantOK(t, status, body)
		wantCalls(t, engine, append([]string{"ContainerInspect " + namePrefix + serverID}, c.want...)...)
		if got := engine.containers[namePrefix+serverID].State.Status; got != c.to {
			t.Errorf("%s of a server that is %s: it is %s then", c.verb, c.from, got)
		}
	}
}

func TestVerbsRefuse(t *testing.T) {
	for _, verb := range []string{"start", "stop?grace=1", "restart?grace=1", "pause", "unpause", "snapshot"} {
		status, body := ask(t, newEngine(), "POST", serverPath+"/"+verb, "")
		wantFault(t, status, body, 404, agent.NoSuchInstance)
	}
	for _, verb := range []string{"stop", "stop?grace=-1", "restart?grace=soon"} {
		engine := newEngine()
		engine.putServer(container.StateRunning)
		status, body := ask(t, engine, "POST", serverPath+"/"+verb, "")
		wantFault(t, status, body, 400, agent.BadRequest)
		wantCalls(t, engine)
	}
}

func TestStartOfABadCommand(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateCreated)
	engine.fail["ContainerStart"] = errUnstartable
	status, body := ask(t, engine, "POST", serverPath+"/start", "")
	wantFault(t, status, body, 422, agent.UnusableImage)
}

// A terminal that the engine hung up itself is worth one more try, and no more.
func TestStartOfWhatEndedWhileTheEngineWasAway(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateExited)
	engine.fail["ContainerStart"] = errors.New("Error response from daemon: OCI runtime start failed: cannot start a container that has stopped: unknown")
	status, body := ask(t, engine, "POST", serverPath+"/start", "")
	wantFault(t, status, body, 500, agent.Failed)
	wantCalls(t, engine, "ContainerInspect "+namePrefix+serverID, "ContainerStatPath /etc/passwd", "ContainerStatPath /etc/group", "ContainerStart", "ContainerStart")
}

// TestAccountsThatAreNoFiles: the engine opens both lists at each start, whatever is there, with the container's lock held.
func TestAccountsThatAreNoFiles(t *testing.T) {
	for name, test := range map[string]struct {
		path string
		mode fs.FileMode
		link string
		size int
		says string
	}{
		"a pipe":                  {"/etc/passwd", fs.ModeNamedPipe, "", 0, "its /etc/passwd is a named pipe"},
		"groups in a pipe":        {"/etc/group", fs.ModeNamedPipe, "", 0, "its /etc/group is a named pipe"},
		"all zeros":               {"/etc/passwd", fs.ModeDevice | fs.ModeCharDevice, "", 0, "its /etc/passwd is a character device"},
		"a pipe, behind a link":   {"/run/pipe", fs.ModeNamedPipe, "/etc/group", 0, "its /etc/group is a named pipe"},
		"more than anybody needs": {"/etc/group", 0, "", accountsLimit + 1, "its /etc/group has 16777217 bytes"},
		"a directory":             {"/etc/passwd", fs.ModeDir, "", 0, ""},
		"a file":                  {"/etc/passwd", 0, "", 100, ""},
		"a file, behind a link":   {"/nix/passwd", 0, "/etc/passwd", 100, ""},
		"a link to nothing":       {"/elsewhere", 0, "/etc/passwd", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for verb, from := range map[string]container.ContainerState{"start": container.StateExited, "restart?grace=0": container.StateRunning} {
				engine := newEngine()
				engine.putServer(from)
				if test.mode != 0 {
					engine.modes[test.path] = test.mode
				}
				if test.size > 0 {
					engine.files[test.path] = make([]byte, test.size)
				}
				if test.link != "" {
					engine.modes[test.link], engine.links = fs.ModeSymlink, map[string]string{test.link: test.path}
				}
				status, body := ask(t, engine, "POST", serverPath+"/"+verb, "")
				if started := slices.Contains(engine.called(), "ContainerStart"); started != (test.says == "") {
					t.Errorf("%s: started %t", verb, started)
				}
				if test.says == "" {
					wantOK(t, status, body)
					continue
				}
				if wantFault(t, status, body, 422, agent.UnusableImage); !strings.Contains(body, test.says) {
					t.Errorf("%s: answered %s", verb, body)
				}
			}
		})
	}
}

// TestPauseThatCannotSilence: what is kept of the server's network is not to be found. A server that answers while it is
// frozen would be no paused one, and one that stays frozen could not be let run again.
func TestPauseThatCannotSilence(t *testing.T) {
	for name, test := range map[string]struct {
		was    container.ContainerState
		frozen bool // by the agent
		over   bool // the request is, meanwhile
		want   bool
	}{
		"it runs on": {container.StateRunning, false, false, false},
		"it runs on, though nobody waits for that": {container.StateRunning, false, true, false},
		"it stays paused, as Nova knows it":        {container.StatePaused, false, false, true},
		"it runs again, as Nova knows it":          {container.StatePaused, true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			engine := newEngine()
			engine.putServer(test.was)
			dir := filepath.Join(stateOf(t, engine), serverID)
			port := network.Port{ID: firstPort, MAC: "fa:16:3e:01:02:03", Bridge: "brq0b6ba3c1-5a"}
			if err := network.SetPorts(dir, []network.Port{port}); err != nil {
				t.Fatal(err)
			}
			if test.frozen {
				if err := os.WriteFile(filepath.Join(dir, frozenFile), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := New(t.Context(), engine, Options{State: engine.state}, quiet())
			ctx, end := context.WithCancel(t.Context())
			defer end()
			if test.over {
				end()
			}
			err := s.freeze(ctx, engine.containers[namePrefix+serverID])
			if err == nil || !strings.Contains(err.Error(), "network namespace") {
				t.Errorf("answered %v", err)
			}
			if got := engine.containers[namePrefix+serverID].State.Paused; got != test.want {
				t.Errorf("paused %t", got)
			}
		})
	}
}
