package instance_test

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/naming"
	"ndock/docker/engine/enginetest"
	"ndock/docker/network/networktest"
)

func TestAttachRefuses(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	path := agenttest.ServerPath + "/ports/" + firstPort
	for _, body := range []string{`{"id":"` + secondPort + `"}`, `{"id":"` + firstPort + `","type":"hostdev"}`} {
		status, answer := ask(t, engine, "PUT", path, body)
		agenttest.WantFault(t, status, answer, 400, agent.BadRequest)
	}
	if ports := portsIn(t, engine); len(ports) > 0 {
		t.Errorf("got ports %v", ports)
	}
}

// TestAttachAndDetach on a server that is off: the container gets the port when it starts.
func TestAttachAndDetach(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	engine.PutServer(container.StateExited)
	for _, id := range []string{firstPort, secondPort, firstPort} { // the last is there already
		status, body := ask(t, engine, "PUT", portsPath+"/"+id, vif(id, "bridge"))
		agenttest.WantOK(t, status, body)
	}
	wantPorts(t, engine, firstPort, secondPort)
	for range 2 { // the second time there is nothing to do
		status, body := ask(t, engine, "DELETE", portsPath+"/"+firstPort, "")
		agenttest.WantOK(t, status, body)
	}
	wantPorts(t, engine, secondPort)
}

// TestAPortThatNeutronHasNotWired is plugged, so that Neutron can wire it, and in no container before it is joined.
func TestAPortThatNeutronHasNotWired(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	engine.Containers[naming.Container(enginetest.ServerID)].State.Pid = -1 // joining it would fail
	inactive := strings.Replace(vif(firstPort, "bridge"), "{", `{"active":false,`, 1)
	unwired := func() bool { return portsIn(t, engine)[0].Unwired }
	for range 2 {
		status, body := ask(t, engine, "PUT", portsPath+"/"+firstPort+"?join=false", inactive)
		agenttest.WantOK(t, status, body)
		wantPorts(t, engine, firstPort)
		if !unwired() {
			t.Error("a container could have it")
		}
	}
	status, body := ask(t, engine, "PUT", portsPath, "["+inactive+"]") // a reboot that comes in between
	if agenttest.WantOK(t, status, body); !unwired() {
		t.Error("a container that is rebooted could have it")
	}
	status, body = ask(t, engine, "PUT", portsPath, vifs(firstPort)) // Nova has heard that it is wired
	if agenttest.WantOK(t, status, body); unwired() {
		t.Error("no container could have it")
	}
	status, body = ask(t, engine, "PUT", portsPath, "["+inactive+"]")
	if agenttest.WantOK(t, status, body); unwired() {
		t.Error("a port that was wired is taken away again")
	}
}

func TestAPortIsWiredWhenItIsJoined(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	engine.PutServer(container.StateExited)
	inactive := strings.Replace(vif(firstPort, "bridge"), "{", `{"active":false,`, 1)
	for _, query := range []string{"?join=false", ""} {
		status, body := ask(t, engine, "PUT", portsPath+"/"+firstPort+query, inactive)
		agenttest.WantOK(t, status, body)
	}
	if ports := portsIn(t, engine); ports[0].Unwired {
		t.Error("no container could have it")
	}
}

// TestJoinThatFails leaves no port that no container has had.
func TestJoinThatFails(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	engine.Containers[naming.Container(enginetest.ServerID)].State.Pid = -1 // it has just ended
	status, body := ask(t, engine, "PUT", portsPath+"/"+firstPort+"?join=false", vif(firstPort, "bridge"))
	agenttest.WantOK(t, status, body)
	status, body = ask(t, engine, "PUT", portsPath+"/"+firstPort, vif(firstPort, "bridge"))
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	wantPorts(t, engine)
}

// TestAttachThatFails leaves no port that the server does not have.
func TestAttachThatFails(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	engine.Containers[naming.Container(enginetest.ServerID)].State.Pid = -1 // it has just ended
	status, body := ask(t, engine, "PUT", portsPath+"/"+firstPort, vif(firstPort, "bridge"))
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	wantPorts(t, engine)
}

func TestDetachWithoutAContainer(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	ask(t, engine, "PUT", portsPath, vifs(firstPort))
	status, body := ask(t, engine, "DELETE", portsPath+"/"+firstPort, "")
	agenttest.WantOK(t, status, body)
	wantPorts(t, engine)
}
