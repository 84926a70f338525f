package instance_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
	"ndock/docker/agent/server"
	"ndock/docker/engine/enginetest"
	"ndock/docker/ociruntime"
	"ndock/docker/ociruntime/programtest"
)

// A runtimesHost is an engine whose operator has two runtimes, of which one is a sandbox.
type runtimesHost struct {
	*enginetest.Engine
	choices, crun string
	specs         []string // directories of CDI specifications
	operators     config.Config
}

func newRuntimesHost(t *testing.T, docker *enginetest.Engine) *runtimesHost {
	t.Helper()
	programs := programtest.Dir(t)
	h := &runtimesHost{Engine: docker, choices: t.TempDir(), operators: config.Default()}
	h.operators.Runtimes = map[string]config.Runtime{}
	for name, version := range map[string]string{"crun": "crun version 1", "gvisor": "runsc version 1"} {
		path := filepath.Join(programs, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho "+version+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		h.operators.Runtimes[name] = config.Runtime{Path: path}
	}
	program := filepath.Join(t.TempDir(), "ndock-runtime")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n[ \"$*\" = ndock-choices ]\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	docker.SystemInfo.Runtimes = map[string]system.RuntimeWithStatus{"ndock": {Runtime: system.Runtime{Path: program}}}
	h.crun = h.operators.Runtimes["crun"].Path
	return h
}

func (h *runtimesHost) ask(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	options := server.Options{State: agenttest.StateOf(t, h.Engine), Choices: h.choices, Specs: h.specs}
	return askServer(t, server.New(t.Context(), h.Engine, options, h.operators, agenttest.Quiet()), method, path, body)
}

func (h *runtimesHost) create(t *testing.T, spec agent.Spec) (status int, body string, recorded ociruntime.Choice, label string) {
	t.Helper()
	status, body = h.ask(t, "PUT", agenttest.ServerPath, marshal(t, spec))
	made, found := h.Containers[naming.Container(enginetest.ServerID)]
	if !found {
		return status, body, recorded, ""
	}
	recorded, err := ociruntime.ChoiceOf(h.choices, made.ID)
	if err != nil {
		t.Error(err)
	}
	return status, body, recorded, made.Config.Labels[naming.LabelRuntime]
}

// TestTheFlavorsRuntime is the server's, or the operator's default where the flavor says none; no one else is asked.
func TestTheFlavorsRuntime(t *testing.T) {
	for _, c := range []struct{ byDefault, flavor, want string }{
		{"runc", "", "runc"},
		{"runc", "crun", "crun"},
		{"gvisor", "", "gvisor"},
		{"gvisor", "runc", "runc"},
	} {
		h := newRuntimesHost(t, withImage(t))
		h.operators.Runtime, h.SystemInfo.ID = c.byDefault, "AAAA:BBBB"
		spec := small()
		spec.Metadata = map[string]string{"ndock:runtime": "crun", "runtime": "crun", "ndock.runtime": "crun"}
		spec.UserData = agenttest.UserData(`{"env": {"ndock:runtime": "crun"}}`)
		spec.OSCommandLine = "sh --runtime crun ndock:runtime=crun"
		if c.flavor != "" {
			spec.ExtraSpecs = map[string]string{"ndock:runtime": c.flavor}
		}
		status, body, recorded, label := h.create(t, spec)
		agenttest.WantOK(t, status, body)
		if dir := filepath.Join(agenttest.StateOf(t, h.Engine), enginetest.ServerID); recorded.Server != dir {
			t.Errorf("its ports are in %s, and recorded is %s", dir, recorded.Server)
		}
		if recorded.Engine != engineID(t, h.Engine) {
			t.Errorf("its engine is not recorded: %q", recorded.Engine)
		}
		if recorded.Name != c.want || label != c.want || recorded.Path != h.operators.Runtimes[c.want].Path || recorded.Sandbox != (c.want == "gvisor") {
			t.Errorf("%+v: got %+v, labelled %q", c, recorded, label)
		}
	}
}

func TestAFlavorsRuntimeThatIsRefused(t *testing.T) {
	for name, code := range map[string]string{
		"none": agent.UnusableFlavor, "../runc": agent.UnusableFlavor, "": agent.UnusableFlavor, "GVISOR": agent.UnusableFlavor, "crun\n": agent.UnusableFlavor,
		"gvisor": agent.Failed, // which is not there today, and may be on another host
	} {
		h := newRuntimesHost(t, withImage(t))
		if err := os.Remove(h.operators.Runtimes["gvisor"].Path); err != nil {
			t.Fatal(err)
		}
		_, body, _, _ := h.create(t, withSpecs(map[string]string{"ndock:runtime": name}))
		if !strings.Contains(body, `"code":"`+code+`"`) || !strings.Contains(body, "runtime") || len(h.Containers) > 0 {
			t.Errorf("%q: got %s", name, body)
		}
	}
}

// TestARuntimeOfAServer: its name is that of the container's making, its program that of the operator's file at each start.
func TestARuntimeOfAServer(t *testing.T) {
	h := newRuntimesHost(t, withImage(t))
	h.SystemInfo.ID = "AAAA:BBBB"
	status, body, _, _ := h.create(t, withSpecs(map[string]string{"ndock:runtime": "crun"}))
	agenttest.WantOK(t, status, body)
	id := h.Containers[naming.Container(enginetest.ServerID)].ID
	h.operators.Runtime = "gvisor"
	h.operators.Runtimes["crun"] = config.Runtime{Path: h.crun, Args: []string{"--debug"}}
	status, body = h.ask(t, "POST", agenttest.ServerPath+"/start", "")
	agenttest.WantOK(t, status, body)
	if got, err := ociruntime.ChoiceOf(h.choices, id); err != nil || got.Name != "crun" || strings.Join(got.Args, " ") != "--debug" || got.Engine != engineID(t, h.Engine) || got.Server == "" {
		t.Errorf("got %+v, %v", got, err)
	}
	delete(h.operators.Runtimes, "crun")
	status, body = h.ask(t, "POST", agenttest.ServerPath+"/start", "") // it runs, and keeps its program
	agenttest.WantOK(t, status, body)
	status, body = h.ask(t, "POST", agenttest.ServerPath+"/restart?grace=0", "")
	if agenttest.WantFault(t, status, body, 500, agent.Failed); !strings.Contains(body, "the server was made for the runtime crun: agent.yaml of this host has no runtime") {
		t.Errorf("got %s", body)
	}
	if state := h.Containers[naming.Container(enginetest.ServerID)].State.Status; state != container.StateRunning {
		t.Errorf("it was stopped, and could not be started: it is %s", state)
	}
	status, body = h.ask(t, "DELETE", agenttest.ServerPath, "[]")
	agenttest.WantOK(t, status, body)
	if left, err := os.ReadDir(h.choices); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestAProgramOfAnEarlierRelease in ndock-runtime's place would have runc run what a flavor wants behind a thicker wall.
func TestAProgramOfAnEarlierRelease(t *testing.T) {
	h := newRuntimesHost(t, withImage(t))
	h.SystemInfo.Runtimes = map[string]system.RuntimeWithStatus{"ndock": {Runtime: system.Runtime{Path: "/bin/false"}}}
	status, body, _, _ := h.create(t, withSpecs(map[string]string{"ndock:runtime": "gvisor"}))
	if agenttest.WantFault(t, status, body, 500, agent.Failed); !strings.Contains(body, "which does not know of runtimes") || len(h.Containers) > 0 {
		t.Errorf("got %s", body)
	}
	status, body, _, _ = h.create(t, small())
	agenttest.WantOK(t, status, body)
}

// TestALabelThatDiffers from what this host has recorded starts by neither: a file was lost, or an image brought the label.
func TestALabelThatDiffers(t *testing.T) {
	h := newRuntimesHost(t, enginetest.New())
	h.PutServer(container.StateExited)
	h.Containers[naming.Container(enginetest.ServerID)].Config.Labels[naming.LabelRuntime] = "gvisor"
	status, body := h.ask(t, "POST", agenttest.ServerPath+"/start", "")
	if agenttest.WantFault(t, status, body, 500, agent.Failed); !strings.Contains(body, `is labelled with the runtime \"gvisor\"`) {
		t.Errorf("got %s", body)
	}
}

// TestWhatASandboxCannotDo is refused while it runs, before anything is done.
func TestWhatASandboxCannotDo(t *testing.T) {
	for request, says := range map[string]string{
		"POST /pause": "a server that runs with gvisor cannot be paused",
		"PUT /ports/3f6a0b1c-d2e4-4f56-8a78-9b0c1d2e3f40": "a server that runs with gvisor cannot be given another port",
	} {
		h := newRuntimesHost(t, enginetest.New())
		h.PutServer(container.StateRunning)
		id := h.Containers[naming.Container(enginetest.ServerID)].ID
		if err := (ociruntime.Choice{Name: "gvisor", Path: "/gone", Sandbox: true}).Record(h.choices, id); err != nil {
			t.Fatal(err)
		}
		verb, path, _ := strings.Cut(request, " ")
		status, body := h.ask(t, verb, agenttest.ServerPath+path, `{"id":"3f6a0b1c-d2e4-4f56-8a78-9b0c1d2e3f40","address":"fa:16:3e:00:00:01","type":"bridge","network":{"bridge":"brq3f6a0b1c-d2"}}`)
		if agenttest.WantFault(t, status, body, 400, agent.BadRequest); !strings.Contains(body, says) {
			t.Errorf("%s: got %s", request, body)
		}
		if state := h.Containers[naming.Container(enginetest.ServerID)].State.Status; state != container.StateRunning {
			t.Errorf("%s: it is %s", request, state)
		}
		if _, err := os.Stat(filepath.Join(agenttest.StateOf(t, h.Engine), enginetest.ServerID, "ports.json")); err == nil {
			t.Errorf("%s: something was plugged", request)
		}
	}
}

// TestADeleteOfWhatIsPaused unpauses it before, because a sandbox that is paused refuses to be killed; and removes it whatever
// comes of that.
func TestADeleteOfWhatIsPaused(t *testing.T) {
	for _, unpause := range []error{nil, enginetest.ErrAway} {
		docker := enginetest.New()
		docker.PutServer(container.StatePaused)
		docker.Fail["ContainerUnpause"] = unpause
		status, body := ask(t, docker, "DELETE", agenttest.ServerPath, "[]")
		agenttest.WantOK(t, status, body)
		called := docker.Called()
		if i := slices.Index(called, "ContainerUnpause"); i < 0 || !slices.Contains(called[i:], "ContainerRemove") || len(docker.Containers) > 0 {
			t.Errorf("unpause says %v: called %v", unpause, called)
		}
	}
}

// TestRecordsOfWhatIsGone are removed where nothing can be there of it any more, and not where Docker's data may only be away.
func TestRecordsOfWhatIsGone(t *testing.T) {
	h := newRuntimesHost(t, enginetest.New())
	h.SystemInfo.ID = "AAAA:BBBB"
	this := engineID(t, h.Engine)
	h.PutServer(container.StateExited)
	state := agenttest.StateOf(t, h.Engine)
	gone, here := filepath.Join(state, "gone"), filepath.Join(state, enginetest.ServerID)
	if err := os.MkdirAll(here, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		id, engine, server string
		age                time.Duration
		kept               bool
	}{
		"gone":                  {strings.Repeat("1", 64), this, gone, instance.AbandonedAfter + time.Minute, false},
		"just made":             {strings.Repeat("2", 64), this, gone, instance.AbandonedAfter - time.Minute, true},
		"of another engine":     {strings.Repeat("3", 64), "CCCC:DDDD", gone, instance.AbandonedAfter + time.Minute, true},
		"of an earlier release": {strings.Repeat("4", 64), "", "", instance.AbandonedAfter + time.Minute, true},
		"whose server is there": {strings.Repeat("5", 64), this, here, instance.AbandonedAfter + time.Minute, true},
		".renameio-TempDir1":    {".renameio-TempDir1", this, gone, instance.AbandonedAfter + time.Minute, true},
		"of a container":        {h.Containers[naming.Container(enginetest.ServerID)].ID, this, gone, instance.AbandonedAfter + time.Minute, true},
	} {
		choice := ociruntime.Choice{Name: "gvisor", Path: "/gone", Sandbox: true, Engine: c.engine, Server: c.server}
		made := time.Now().Add(-c.age)
		if err := errors.Join(choice.Record(h.choices, c.id), os.Chtimes(filepath.Join(h.choices, c.id), made, made)); err != nil {
			t.Fatal(err)
		}
		h.Fail["ContainerList"] = enginetest.ErrAway
		status, body := h.ask(t, "DELETE", "/v1/orphans", "")
		agenttest.WantFault(t, status, body, 500, agent.Failed)
		if _, err := os.Stat(filepath.Join(h.choices, c.id)); err != nil {
			t.Errorf("%s, while Docker is away: %v", name, err)
		}
		delete(h.Fail, "ContainerList")
		status, body = h.ask(t, "DELETE", "/v1/orphans", "")
		agenttest.WantOK(t, status, body)
		if _, err := os.Stat(filepath.Join(h.choices, c.id)); (err == nil) != c.kept {
			t.Errorf("%s: kept is to be %t: %v", name, c.kept, err)
		}
	}
}

// TestADeleteOfAServerWithoutContainer takes the record of what somebody has removed by hand, and no other server's.
func TestADeleteOfAServerWithoutContainer(t *testing.T) {
	h := newRuntimesHost(t, enginetest.New())
	state := agenttest.StateOf(t, h.Engine)
	own := ociruntime.Choice{Name: "gvisor", Path: "/gone", Sandbox: true, Server: filepath.Join(state, enginetest.ServerID)}
	others := own
	others.Server = filepath.Join(state, "another")
	if err := errors.Join(own.Record(h.choices, strings.Repeat("1", 64)), others.Record(h.choices, strings.Repeat("2", 64))); err != nil {
		t.Fatal(err)
	}
	status, body := h.ask(t, "DELETE", agenttest.ServerPath, "[]")
	agenttest.WantOK(t, status, body)
	left, err := os.ReadDir(h.choices)
	if err != nil || len(left) != 1 || left[0].Name() != strings.Repeat("2", 64) {
		t.Errorf("left %v, %v, want the other server's record alone", left, err)
	}
}

// TestHostsRuntimes: Nova is told of those that work, and the operator of those that do not.
func TestHostsRuntimes(t *testing.T) {
	h := newRuntimesHost(t, enginetest.New())
	if err := os.Remove(h.crun); err != nil {
		t.Fatal(err)
	}
	status, body := h.ask(t, "GET", "/v1/host", "")
	agenttest.WantOK(t, status, body)
	var host agent.Host
	if err := json.Unmarshal([]byte(body), &host); err != nil || strings.Join(host.Runtimes, " ") != "runc gvisor" || len(host.Lacks) != 1 || !strings.Contains(host.Lacks[0], "crun: no such file") {
		t.Errorf("got %+v, %v", host, err)
	}
}
