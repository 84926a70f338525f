package instance_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/agent/naming"
	"ndock/docker/agent/server"
	"ndock/docker/engine/enginetest"
	"ndock/docker/ociruntime"
)

// withDevices is an engine that has the server's image, on a host with two devices. ask is its agent's API.
func withDevices(t *testing.T) (engine *enginetest.Engine, ask func(method, path, body string) (int, string)) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("specifications have to be root's")
	}
	engine = withImage(t)
	engine.Stats = `{}`
	operators := config.Default()
	operators.Devices = map[string]string{"PGPU": "a.com/card"}
	s := server.New(t.Context(), engine, server.Options{State: engine.State, Namespaces: t.TempDir(), Names: t.TempDir(), Choices: t.TempDir(), Specs: []string{specsOfCards(t)}}, operators, agenttest.Quiet())
	return engine, func(method, path, body string) (int, string) {
		return agenttest.Ask(t, s.Handler(), method, path, body)
	}
}

// specsOfCards is a directory with a specification of two devices.
func specsOfCards(t *testing.T) string {
	t.Helper()
	return agenttest.Tree(t, map[string]string{"cards.json": `{"cdiVersion":"0.6.0","kind":"a.com/card","devices":[
		{"name":"0","containerEdits":{"deviceNodes":[{"path":"/dev/null"}]}},
		{"name":"1","containerEdits":{"deviceNodes":[{"path":"/dev/zero"}]}}]}`})
}

// withCards is the body of a request for a server with so many devices.
func withCards(t *testing.T, n int, source agent.Source) string {
	t.Helper()
	wanted := small()
	wanted.Devices, wanted.Source = map[string]int{"PGPU": n}, source
	return marshal(t, wanted)
}

// cardsOf are the devices of the server's container, by the agent's word and, where it was started, by what the runtime reads.
func cardsOf(t *testing.T, engine *enginetest.Engine, ask func(method, path, body string) (int, string)) []string {
	t.Helper()
	status, body := ask("GET", agenttest.ServerPath+"/diagnostics", "")
	agenttest.WantOK(t, status, body)
	var found agent.Diagnostics
	if err := json.Unmarshal([]byte(body), &found); err != nil {
		t.Fatal(err)
	}
	var injection ociruntime.Injection
	text, err := os.ReadFile(filepath.Join(engine.State, enginetest.ServerID, ociruntime.InjectionFile))
	if err == nil {
		err = json.Unmarshal(text, &injection)
	}
	started := engine.Containers[naming.Container(enginetest.ServerID)].State.Running
	if want := len(found.Devices) > 0; started && want != (err == nil && injection.Container == engine.Containers[naming.Container(enginetest.ServerID)].ID) {
		t.Errorf("it has %q, and its runtime gets %s, %v", found.Devices, text, err)
	}
	return found.Devices
}

func TestDevicesOfAServer(t *testing.T) {
	engine, ask := withDevices(t)
	for _, step := range []struct {
		method, path, body string
		want               []string
	}{
		{"PUT", "", withCards(t, 1, agent.FromImage), []string{"a.com/card=0"}},
		{"POST", "/start", "", []string{"a.com/card=0"}},
		{"POST", "/aside?grace=0", "", nil},
		{"PUT", "", withCards(t, 1, agent.FromBackup), []string{"a.com/card=1"}}, // resized
		{"POST", "/restore", "", []string{"a.com/card=0"}},
		{"POST", "/aside?grace=0", "", nil},
		{"PUT", "", withCards(t, 0, agent.FromBackup), nil},
		{"POST", "/start", "", nil},
		{"DELETE", "/aside", "", nil}, // confirmed
		{"DELETE", "", "", nil},
	} {
		status, body := ask(step.method, agenttest.ServerPath+step.path, step.body)
		if agenttest.WantOK(t, status, body); t.Failed() {
			t.Fatalf("%s %s", step.method, step.path)
		}
		if engine.Containers[naming.Container(enginetest.ServerID)].ContainerJSONBase == nil {
			continue
		}
		if got := cardsOf(t, engine, ask); !slices.Equal(got, step.want) {
			t.Errorf("after %s %s: got %q, want %q", step.method, step.path, got, step.want)
		}
	}
	if left, err := os.ReadDir(engine.State); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestDevicesBeforeTheContainer: they are named before there is one, for its metadata, and it gets these.
func TestDevicesBeforeTheContainer(t *testing.T) {
	engine, ask := withDevices(t)
	reserve := func(body, want string) {
		t.Helper()
		status, got := ask("PUT", agenttest.ServerPath+"/devices", body)
		if agenttest.WantOK(t, status, got); strings.TrimSpace(got) != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
	given := func(method, path, body string, want ...string) {
		t.Helper()
		status, got := ask(method, agenttest.ServerPath+path, body)
		if agenttest.WantOK(t, status, got); t.Failed() {
			return
		}
		if cards := cardsOf(t, engine, ask); !slices.Equal(cards, want) {
			t.Errorf("%s %s: got %q, want %q", method, path, cards, want)
		}
	}
	const one = `{"devices":{"PGPU":1}}`
	reserve(`{}`, `{"devices":[]}`)
	reserve(one, `{"devices":["a.com/card=0"]}`)
	reserve(one, `{"devices":["a.com/card=0"]}`) // again, as after a time-out
	given("PUT", "", withCards(t, 1, agent.FromImage), "a.com/card=0")
	status, body := ask("PUT", agenttest.ServerPath+"/devices", one)
	agenttest.WantFault(t, status, body, 400, agent.BadRequest)
	status, body = ask("POST", agenttest.ServerPath+"/aside?grace=0", "")
	agenttest.WantOK(t, status, body)
	status, body = ask("PUT", agenttest.ServerPath+"/devices", `{"devices":{"PGPU":2}}`)
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	reserve(one, `{"devices":["a.com/card=1"]}`)  // of a resize
	given("POST", "/restore", "", "a.com/card=0") // which failed
	status, body = ask("PUT", "/v1/instances/..%2fx/devices", one)
	agenttest.WantFault(t, status, body, 400, agent.BadRequest)
}

func TestNoDeviceIsFree(t *testing.T) {
	engine, ask := withDevices(t)
	status, body := ask("PUT", agenttest.ServerPath, withCards(t, 3, agent.FromImage))
	agenttest.WantFault(t, status, body, 500, agent.Failed) // so that Nova tries another host
	if engine.Containers[naming.Container(enginetest.ServerID)].ContainerJSONBase != nil {
		t.Error("a container was made all the same")
	}
}

// TestDevicesInASandbox are refused, for gVisor leaves them out and says nothing: of a new server, in a rescue, and where the
// operator has come to mean a sandbox by the runtime's name.
func TestDevicesInASandbox(t *testing.T) {
	h := newRuntimesHost(t, withImage(t))
	h.specs, h.operators.Devices = []string{specsOfCards(t)}, map[string]string{"PGPU": "a.com/card"}
	refused := func(method, path, body string) {
		t.Helper()
		status, body := h.ask(t, method, path, body)
		agenttest.WantFault(t, status, body, 500, agent.Failed)
		if !strings.Contains(body, "the server is to have devices (a.com/card=0), and the runtime ") || !strings.Contains(body, "is a sandbox, which gives it none") {
			t.Errorf("%s %s: got %s", method, path, body)
		}
	}
	given := func(method, path, body string) {
		t.Helper()
		status, body := h.ask(t, method, path, body)
		agenttest.WantOK(t, status, body)
	}
	h.operators.Runtime = "gvisor"
	refused("PUT", agenttest.ServerPath, withCards(t, 1, agent.FromImage))
	if len(h.Containers) > 0 {
		t.Error("a container was made all the same")
	}
	given("PUT", agenttest.ServerPath, withCards(t, 0, agent.FromImage))
	given("DELETE", agenttest.ServerPath, "")
	h.operators.Runtime = "crun"
	given("PUT", agenttest.ServerPath, withCards(t, 1, agent.FromImage))
	was := h.operators.Runtimes["crun"]
	h.operators.Runtimes["crun"] = h.operators.Runtimes["gvisor"]
	refused("POST", agenttest.ServerPath+"/start", "")
	h.operators.Runtimes["crun"] = was
	given("POST", agenttest.ServerPath+"/aside?grace=0", "")
	h.operators.Runtime = "gvisor"
	aside := h.Containers[naming.Backup(enginetest.ServerID)]
	aside.GraphDriver.Name, aside.GraphDriver.Data = "overlay2", map[string]string{"LowerDir": "/l", "UpperDir": "/u", "WorkDir": "/w"}
	refused("PUT", agenttest.ServerPath, withCards(t, 0, agent.Rescue))
}

// TestATenantWhoNamesDevices gets none: nothing that comes with an image or a request's tenant's part is asked.
func TestATenantWhoNamesDevices(t *testing.T) {
	engine, ask := withDevices(t)
	wanted := small()
	wanted.Metadata = map[string]string{"resources:PGPU": "1", "PGPU": "1", "cdi.k8s.io/x": "a.com/card=0", "NVIDIA_VISIBLE_DEVICES": "all"}
	wanted.ExtraSpecs = map[string]string{"resources:PGPU": "1"} // it counts when Placement has allocated it
	status, body := ask("PUT", agenttest.ServerPath, marshal(t, wanted))
	agenttest.WantOK(t, status, body)
	status, body = ask("POST", agenttest.ServerPath+"/start", "")
	agenttest.WantOK(t, status, body)
	made := engine.Containers[naming.Container(enginetest.ServerID)]
	if got := cardsOf(t, engine, ask); len(got) > 0 || len(made.HostConfig.DeviceRequests) > 0 || len(made.HostConfig.Devices) > 0 || len(made.HostConfig.Annotations) > 0 {
		t.Errorf("got %q, %+v", got, made.HostConfig)
	}
}

// TestARestoreThatFails half-way is done again whole: the devices that were for the container that is gone are free.
func TestARestoreThatFails(t *testing.T) {
	engine, ask := withDevices(t)
	for _, step := range [][3]string{
		{"PUT", "", withCards(t, 1, agent.FromImage)}, {"POST", "/aside?grace=0", ""}, {"PUT", "", withCards(t, 1, agent.FromBackup)},
	} {
		status, body := ask(step[0], agenttest.ServerPath+step[1], step[2])
		agenttest.WantOK(t, status, body)
	}
	record := filepath.Join(engine.State, enginetest.ServerID, "devices.json")
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(record, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	status, body := ask("POST", agenttest.ServerPath+"/restore", "")
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	if err := os.WriteFile(record, text, 0o600); err != nil {
		t.Fatal(err)
	}
	status, body = ask("POST", agenttest.ServerPath+"/restore", "")
	agenttest.WantOK(t, status, body)
	if got := cardsOf(t, engine, ask); !slices.Equal(got, []string{"a.com/card=0"}) {
		t.Errorf("got %q", got)
	}
	if text, err = os.ReadFile(record); err != nil || strings.Contains(string(text), "a.com/card=1") {
		t.Errorf("got %s, %v", text, err)
	}
}

// TestADeviceIsGone: the server does not start, says why, and starts when it is back.
func TestADeviceIsGone(t *testing.T) {
	engine, ask := withDevices(t)
	status, body := ask("PUT", agenttest.ServerPath, withCards(t, 1, agent.FromImage))
	agenttest.WantOK(t, status, body)
	record := filepath.Join(engine.State, enginetest.ServerID, "devices.json")
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(record, []byte(strings.Replace(string(text), "a.com/card=0", "a.com/card=gone", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	status, body = ask("POST", agenttest.ServerPath+"/start", "")
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	if !strings.Contains(body, "its device a.com/card=gone is in no CDI specification of ") || engine.Containers[naming.Container(enginetest.ServerID)].State.Status == container.StateRunning {
		t.Errorf("got %s", body)
	}
	if _, body = ask("GET", "/v1/host", ""); !strings.Contains(body, "does not start without a.com/card=gone") {
		t.Errorf("got %s", body)
	}
	if err := os.WriteFile(record, text, 0o600); err != nil {
		t.Fatal(err)
	}
	status, body = ask("POST", agenttest.ServerPath+"/start", "")
	agenttest.WantOK(t, status, body)
}

// TestAServerWhoseDevicesAreNotRecorded does not start without them, as where what the agent records was lost.
func TestAServerWhoseDevicesAreNotRecorded(t *testing.T) {
	engine, ask := withDevices(t)
	for _, step := range [][3]string{{"PUT", "", withCards(t, 2, "")}, {"POST", "/start", ""}, {"POST", "/stop?grace=0", ""}} {
		status, body := ask(step[0], agenttest.ServerPath+step[1], step[2])
		agenttest.WantOK(t, status, body)
	}
	if err := os.Remove(filepath.Join(engine.State, enginetest.ServerID, "devices.json")); err != nil {
		t.Fatal(err)
	}
	status, body := ask("POST", agenttest.ServerPath+"/start", "")
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	if want := "made with 2 devices of this host, and 0 are recorded for it"; !strings.Contains(body, want) || engine.Containers[naming.Container(enginetest.ServerID)].State.Running {
		t.Errorf("said %s", body)
	}
}
