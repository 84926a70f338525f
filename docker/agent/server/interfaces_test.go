package server

import (
	"testing"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
)

func TestAttachRefuses(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateRunning)
	path := serverPath + "/ports/" + firstPort
	for _, body := range []string{`{"id":"` + secondPort + `"}`, `{"id":"` + firstPort + `","type":"hostdev"}`} {
		status, answer := ask(t, engine, "PUT", path, body)
		wantFault(t, status, answer, 400, agent.BadRequest)
	}
	if ports := portsIn(t, engine); len(ports) > 0 {
		t.Errorf("got ports %v", ports)
	}
}

// TestAttachAndDetach on a server that is off: the container gets the port when it starts.
func TestAttachAndDetach(t *testing.T) {
	ownNetwork(t)
	engine := newEngine()
	engine.putServer(container.StateExited)
	for _, id := range []string{firstPort, secondPort, firstPort} { // the last is there already
		status, body := ask(t, engine, "PUT", portsPath+"/"+id, vif(id, "bridge"))
		wantOK(t, status, body)
	}
	wantPorts(t, engine, firstPort, secondPort)
	for range 2 { // the second time there is nothing to do
		status, body := ask(t, engine, "DELETE", portsPath+"/"+firstPort, "")
		wantOK(t, status, body)
	}
	wantPorts(t, engine, secondPort)
}

// TestAttachThatFails leaves no port that the server does not have.
func TestAttachThatFails(t *testing.T) {
	ownNetwork(t)
	engine := newEngine()
	engine.putServer(container.StateRunning)
	engine.containers[namePrefix+serverID].State.Pid = -1 // it has just ended
	status, body := ask(t, engine, "PUT", portsPath+"/"+firstPort, vif(firstPort, "bridge"))
	wantFault(t, status, body, 500, agent.Failed)
	wantPorts(t, engine)
}

func TestDetachWithoutAContainer(t *testing.T) {
	ownNetwork(t)
	engine := newEngine()
	ask(t, engine, "PUT", portsPath, vifs(firstPort))
	status, body := ask(t, engine, "DELETE", portsPath+"/"+firstPort, "")
	wantOK(t, status, body)
	wantPorts(t, engine)
}
