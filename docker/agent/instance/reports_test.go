package instance_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
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
