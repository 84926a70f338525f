package instance_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
	"ndock/docker/agent/server"
	"ndock/docker/engine/enginetest"
)

const consolePath = "/v1/instances/" + enginetest.ServerID + "/console"

func TestConsole(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateExited)
	engine.Logs = "\xffnot text\r\n"
	status, body := ask(t, engine, "GET", consolePath, "")
	if status != 200 || body != engine.Logs {
		t.Errorf("got %d %q", status, body)
	}
}

// TestConsoleWithoutTTY: Docker sends both outputs in frames then, which are no output.
func TestConsoleWithoutTTY(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateExited)
	engine.Containers[naming.Container(enginetest.ServerID)].Config.Tty = false
	var framed bytes.Buffer
	fmt.Fprint(stdcopy.NewStdWriter(&framed, stdcopy.Stdout), "out\n")
	fmt.Fprint(stdcopy.NewStdWriter(&framed, stdcopy.Stderr), "err\n")
	engine.Logs = framed.String()
	if status, body := ask(t, engine, "GET", consolePath, ""); status != 200 || body != "out\nerr\n" {
		t.Errorf("got %d %q", status, body)
	}
}

func TestConsoleIsBounded(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	engine.Logs = strings.Repeat("a", instance.LogBytes) + "the end"
	_, body := ask(t, engine, "GET", consolePath, "")
	if len(body) != instance.LogBytes || !strings.HasSuffix(body, "the end") {
		t.Errorf("got %d bytes", len(body))
	}
	if calls := engine.Called(); calls[len(calls)-1] != "ContainerLogs tail=all" {
		t.Errorf("lines are counted, where Nova does that: %q", calls)
	}
}

func TestConsoleFaults(t *testing.T) {
	engine := enginetest.New()
	status, body := ask(t, engine, "GET", consolePath, "")
	agenttest.WantFault(t, status, body, 404, agent.NoSuchInstance)
	engine.PutServer(container.StateRunning)
	engine.Fail["ContainerLogs"] = enginetest.ErrAway
	status, body = ask(t, engine, "GET", consolePath, "")
	agenttest.WantFault(t, status, body, 500, agent.Failed)
}

func TestDiagnostics(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	engine.Containers[naming.Container(enginetest.ServerID)].State.Health = &container.Health{Status: "unhealthy"}
	engine.Stats = `{"cpu_stats":{"cpu_usage":{"total_usage":7}},"memory_stats":{"usage":5,"limit":64},"pids_stats":{"current":3}}`
	status, body := ask(t, engine, "GET", agenttest.ServerPath+"/diagnostics", "")
	agenttest.WantOK(t, status, body)
	for _, want := range []string{`"state":"running"`, `"health":"unhealthy"`, `"cpu_time":7`, `"memory_used":5`, `"processes":3`, `"nics":[`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
}

func TestDiagnosticsOfOneThatEnded(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateExited)
	engine.Containers[naming.Container(enginetest.ServerID)].State.ExitCode = 137
	engine.Containers[naming.Container(enginetest.ServerID)].State.OOMKilled = true
	status, body := ask(t, engine, "GET", agenttest.ServerPath+"/diagnostics", "")
	agenttest.WantOK(t, status, body)
	if !strings.Contains(body, `"exit_code":137,"oom_killed":true`) || !strings.Contains(body, `"uptime":null`) {
		t.Errorf("got %s", body)
	}
	engine.Containers[naming.Container(enginetest.ServerID)].State.ExitCode = 0
	for _, path := range []string{agenttest.ServerPath + "/diagnostics", agenttest.ServerPath} { // that a child of it was killed is not how it ended
		if _, body := ask(t, engine, "GET", path, ""); !strings.Contains(body, `"exit_code":0,"oom_killed":false`) {
			t.Errorf("%s: got %s", path, body)
		}
	}
}

// TestTheMarkOfOneThatRanOutOfMemory: ndock-runtime leaves it where Docker Engine knows of nothing. It is about the last run of a
// process that was killed, and goes with the container.
func TestTheMarkOfOneThatRanOutOfMemory(t *testing.T) {
	engine, marks := enginetest.New(), t.TempDir()
	engine.PutServer(container.StateExited)
	found := engine.Containers[naming.Container(enginetest.ServerID)]
	mark := filepath.Join(marks, found.ID)
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, engine, server.Options{State: agenttest.StateOf(t, engine), Marks: marks})
	found.State.FinishedAt = "2026-11-25T06:00:00.5Z"
	for exitCode, want := range map[int]bool{137: true, 143: false, 0: false, 1: false} {
		found.State.ExitCode = exitCode
		for _, path := range []string{agenttest.ServerPath + "/diagnostics", agenttest.ServerPath} {
			if _, body := askServer(t, s, "GET", path, ""); !strings.Contains(body, fmt.Sprintf(`"exit_code":%d,"oom_killed":%t`, exitCode, want)) {
				t.Errorf("%s: got %s", path, body)
			}
		}
		if _, body := askServer(t, s, "GET", consolePath, ""); strings.Contains(body, ": out of memory") != want {
			t.Errorf("status %d: the log has %q", exitCode, body)
		}
	}
	found.State.ExitCode, found.State.Running = 137, true
	if _, body := askServer(t, s, "GET", agenttest.ServerPath, ""); !strings.Contains(body, `"oom_killed":false`) {
		t.Errorf("of one that runs: %s", body)
	}
	status, body := askServer(t, s, "DELETE", agenttest.ServerPath, "[]")
	agenttest.WantOK(t, status, body)
	if _, err := os.Lstat(mark); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mark is still there: %v", err)
	}
}
