package instance_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
	"ndock/docker/engine/enginetest"
)

func TestFind(t *testing.T) {
	other := "11111111-2222-4333-8444-555555555555"
	for name, c := range map[string]struct {
		uuid, container, label string
		code                   string // "" is found
	}{
		"found":             {enginetest.ServerID, naming.Container(enginetest.ServerID), enginetest.ServerID, ""},
		"none":              {enginetest.ServerID, naming.Container(other), other, agent.NoSuchInstance},
		"label of another":  {enginetest.ServerID, naming.Container(enginetest.ServerID), other, agent.NoSuchInstance},
		"no label":          {enginetest.ServerID, naming.Container(enginetest.ServerID), "", agent.NoSuchInstance},
		"a name, no id":     {"web", naming.Container("web"), "web", agent.BadRequest},
		"capitals":          {strings.ToUpper(enginetest.ServerID), "", "", agent.BadRequest},
		"more than an id":   {enginetest.ServerID + "0", "", "", agent.BadRequest},
		"a line after it":   {enginetest.ServerID + "\n", "", "", agent.BadRequest},
		"a path":            {"../" + enginetest.ServerID, "", "", agent.BadRequest},
		"nothing":           {"", "", "", agent.BadRequest},
		"only the name fit": {enginetest.ServerID, enginetest.ServerID, enginetest.ServerID, agent.NoSuchInstance},
	} {
		engine := enginetest.New()
		engine.Put(c.container, map[string]string{naming.LabelServer: c.label}, container.StateRunning)
		found, err := newInstances(engine, instance.Options{State: t.TempDir()}).Containers.Find(t.Context(), c.uuid)
		if c.code == "" && (err != nil || found.ID == "") || c.code != "" && (err == nil || agent.CodeOf(err) != c.code) {
			t.Errorf("%s: got %v, %v", name, found.ID, err)
		}
	}
}

// TestInstances: a label can be brought by an image, which a tenant makes; a container's name cannot.
func TestInstances(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StatePaused)
	engine.Put("eager_euler", map[string]string{naming.LabelServer: "11111111-2222-4333-8444-555555555555"}, container.StateRunning)
	engine.Put("ndock-registry", map[string]string{}, container.StateRunning)
	status, body := ask(t, engine, "GET", "/v1/instances", "")
	agenttest.WantOK(t, status, body)
	var got []agent.Instance
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := agent.Instance{UUID: enginetest.ServerID, Name: "web", ContainerID: strings.Repeat("c", 64), State: agent.Paused}
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %+v", got)
	}
}

// TestNoInstances: an empty list, and not null, which Python would not iterate over.
func TestNoInstances(t *testing.T) {
	if status, body := ask(t, enginetest.New(), "GET", "/v1/instances", ""); status != 200 || strings.TrimSpace(body) != "[]" {
		t.Errorf("got %d %s", status, body)
	}
}

func TestGetInstance(t *testing.T) {
	engine := enginetest.New()
	status, body := ask(t, engine, "GET", agenttest.ServerPath, "")
	agenttest.WantFault(t, status, body, 404, agent.NoSuchInstance)
	engine.PutServer(container.StateExited)
	state := engine.Containers[naming.Container(enginetest.ServerID)].State
	state.ExitCode, state.OOMKilled = 137, true
	status, body = ask(t, engine, "GET", agenttest.ServerPath, "")
	var got agent.Instance
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
		t.Fatalf("got %d %s, %v", status, body, err)
	}
	want := agent.Instance{
		UUID: enginetest.ServerID, Name: "web", ContainerID: strings.Repeat("c", 64), State: agent.Stopped, ExitCode: 137, OOMKilled: true,
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
		if got := instance.StateOf(docker); got != want {
			t.Errorf("%s: got %s, want %s", docker, got, want)
		}
	}
}
