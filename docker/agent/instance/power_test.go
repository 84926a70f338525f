package instance_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
	"ndock/docker/engine/enginetest"
	"ndock/docker/network"
)

// TestVerbs: each brings a server to the state that it names, from any other, and is content when it is there.
func TestVerbs(t *testing.T) {
	const running, paused, exited = container.StateRunning, container.StatePaused, container.StateExited
	starts := []string{"ContainerStatPath /etc", "ContainerStatPath /etc/passwd", "ContainerStatPath /etc/group", "ContainerStart"}
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
		engine := enginetest.New()
		engine.PutServer(c.from)
		status, body := ask(t, engine, "POST", agenttest.ServerPath+"/"+c.verb, "")
		agenttest.WantOK(t, status, body)
		engine.WantCalls(t, append([]string{"ContainerInspect " + naming.Container(enginetest.ServerID)}, c.want...)...)
		if got := engine.Containers[naming.Container(enginetest.ServerID)].State.Status; got != c.to {
			t.Errorf("%s of a server that is %s: it is %s then", c.verb, c.from, got)
		}
	}
}

func TestVerbsRefuse(t *testing.T) {
	for _, verb := range []string{"start", "stop?grace=1", "restart?grace=1", "pause", "unpause", "snapshot"} {
		status, body := ask(t, enginetest.New(), "POST", agenttest.ServerPath+"/"+verb, "")
		agenttest.WantFault(t, status, body, 404, agent.NoSuchInstance)
	}
	for _, verb := range []string{"stop", "stop?grace=-1", "restart?grace=soon"} {
		engine := enginetest.New()
		engine.PutServer(container.StateRunning)
		status, body := ask(t, engine, "POST", agenttest.ServerPath+"/"+verb, "")
		agenttest.WantFault(t, status, body, 400, agent.BadRequest)
		engine.WantCalls(t)
	}
}

func TestStartOfABadCommand(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateCreated)
	engine.Fail["ContainerStart"] = errUnstartable
	status, body := ask(t, engine, "POST", agenttest.ServerPath+"/start", "")
	agenttest.WantFault(t, status, body, 422, agent.UnusableImage)
}

// A terminal that the engine hung up itself is worth one more try, and no more.
func TestStartOfWhatEndedWhileTheEngineWasAway(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateExited)
	engine.Fail["ContainerStart"] = errors.New("Error response from daemon: OCI runtime start failed: cannot start a container that has stopped: unknown")
	status, body := ask(t, engine, "POST", agenttest.ServerPath+"/start", "")
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	engine.WantCalls(t, "ContainerInspect "+naming.Container(enginetest.ServerID), "ContainerStatPath /etc", "ContainerStatPath /etc/passwd", "ContainerStatPath /etc/group", "ContainerStart", "ContainerStart")
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
		"more than anybody needs": {"/etc/group", 0, "", instance.AccountsLimit + 1, "its /etc/group has 16777217 bytes"},
		"a directory":             {"/etc/passwd", fs.ModeDir, "", 0, ""},
		"a file":                  {"/etc/passwd", 0, "", 100, ""},
		"a terminal":              {"/dev/ptmx", 0, "/etc/group", 0, "its /etc/group leads to /dev/ptmx"},
		"a file, behind a link":   {"/nix/passwd", 0, "/etc/passwd", 100, ""},
		"a link to nothing":       {"/elsewhere", 0, "/etc/passwd", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for verb, from := range map[string]container.ContainerState{"start": container.StateExited, "restart?grace=0": container.StateRunning} {
				engine := enginetest.New()
				engine.PutServer(from)
				if test.mode != 0 {
					engine.Modes[test.path] = test.mode
				}
				if test.size > 0 {
					engine.Files[test.path] = make([]byte, test.size)
				}
				if test.link != "" {
					engine.Modes[test.link], engine.Links = fs.ModeSymlink, map[string]string{test.link: test.path}
				}
				status, body := ask(t, engine, "POST", agenttest.ServerPath+"/"+verb, "")
				if started := slices.Contains(engine.Called(), "ContainerStart"); started != (test.says == "") {
					t.Errorf("%s: started %t", verb, started)
				}
				if test.says == "" {
					agenttest.WantOK(t, status, body)
					continue
				}
				if agenttest.WantFault(t, status, body, 422, agent.UnusableImage); !strings.Contains(body, test.says) {
					t.Errorf("%s: answered %s", verb, body)
				}
			}
		})
	}
}

// TestPauseThatCannotTakeTheNetworkDown: what is kept of the server's network is not to be found. A server that answers while it is
// frozen would be no paused one, and one that stays frozen could not be let run again.
func TestPauseThatCannotTakeTheNetworkDown(t *testing.T) {
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
			engine := enginetest.New()
			engine.PutServer(test.was)
			dir := filepath.Join(agenttest.StateOf(t, engine), enginetest.ServerID)
			port := network.Port{ID: firstPort, MAC: "fa:16:3e:01:02:03", Bridge: "brq0b6ba3c1-5a"}
			if err := network.SetPorts(dir, []network.Port{port}); err != nil {
				t.Fatal(err)
			}
			if test.frozen {
				if err := os.WriteFile(filepath.Join(dir, instance.PauseFile), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := newInstances(engine, instance.Options{State: engine.State})
			ctx, end := context.WithCancel(t.Context())
			defer end()
			if test.over {
				end()
			}
			err := s.Power.PauseContainer(ctx, engine.Containers[naming.Container(enginetest.ServerID)])
			if err == nil || !strings.Contains(err.Error(), "network namespace") {
				t.Errorf("answered %v", err)
			}
			if got := engine.Containers[naming.Container(enginetest.ServerID)].State.Paused; got != test.want {
				t.Errorf("paused %t", got)
			}
		})
	}
}
