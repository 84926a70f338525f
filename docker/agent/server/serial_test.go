package server

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/naming"
	"ndock/docker/engine/enginetest"
)

const (
	serialPath  = agenttest.ServerPath + "/serial"
	serialPorts = "20000:30000"
	serialBody  = `{"address":"127.0.0.1","ports":"` + serialPorts + `","lifetime":60,"admit":"path"}`
)

func TestSerial(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	status, body := ask(t, engine, "POST", serialPath, serialBody)
	if agenttest.WantOK(t, status, body); !strings.Contains(body, `"port":2`) || !strings.Contains(body, `"path":"/`) {
		t.Errorf("got %s", body)
	}
}

func TestSerialFaults(t *testing.T) {
	status, body := ask(t, enginetest.New(), "POST", serialPath, serialBody)
	agenttest.WantFault(t, status, body, 404, agent.NoSuchInstance)
	for state, code := range map[container.ContainerState]string{
		container.StateExited: agent.NotRunning, container.StateCreated: agent.NotRunning, container.StatePaused: agent.NotRunning,
	} {
		engine := enginetest.New()
		engine.PutServer(state)
		status, body := ask(t, engine, "POST", serialPath, serialBody)
		agenttest.WantFault(t, status, body, 409, code)
	}
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	for _, change := range [][2]string{
		{serialPorts, "1:2"}, {`"lifetime":60`, `"lifetime":0`}, {`"path"`, `"anyone"`}, {`{`, `[`}, {"127.0.0.1", "localhost"}, {"127.0.0.1", ""},
	} {
		status, body = ask(t, engine, "POST", serialPath, strings.Replace(serialBody, change[0], change[1], 1))
		agenttest.WantFault(t, status, body, 400, agent.BadRequest)
	}
	for _, config := range []container.Config{{Tty: false, OpenStdin: true}, {Tty: true, OpenStdin: false}} {
		config.Labels = engine.Containers[naming.Container(enginetest.ServerID)].Config.Labels
		*engine.Containers[naming.Container(enginetest.ServerID)].Config = config
		status, body = ask(t, engine, "POST", serialPath, serialBody)
		agenttest.WantFault(t, status, body, 409, agent.NoTerminal)
	}
}
