package server

import (
	"errors"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
)

func TestNextIndex(t *testing.T) {
	plugged := []pluggedPort{{index: 0}, {index: 2}}
	plugged[0].ID, plugged[1].ID = firstPort, secondPort
	for port, want := range map[string]int{firstPort: 0, secondPort: 2, "new": 3} {
		if got := nextIndex(plugged, port); got != want {
			t.Errorf("%s: got %d, want %d", port, got, want)
		}
	}
	if got := nextIndex(nil, "new"); got != 0 {
		t.Errorf("the first: got %d", got)
	}
}

func TestAttachRefuses(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateRunning)
	path := serverPath + "/ports/" + firstPort
	for _, body := range []string{`{"id":"` + secondPort + `"}`, `{"id":"` + firstPort + `","type":"hostdev"}`} {
		status, answer := ask(t, engine, "PUT", path, body)
		wantFault(t, status, answer, 400, agent.BadRequest)
	}
	if len(engine.networks) > 0 {
		t.Errorf("got networks %v", engine.networks)
	}
}

func TestDetach(t *testing.T) {
	engine := withImage(t, firstPort, secondPort)
	status, body := ask(t, engine, "PUT", serverPath, spec(t))
	wantOK(t, status, body)
	engine.containers[namePrefix+serverID].NetworkSettings.Networks[networkName(0, firstPort)] = nil // as Docker makes it
	for range 2 {                                                                                    // the second time there is nothing to do
		status, body = ask(t, engine, "DELETE", serverPath+"/ports/"+firstPort, "")
		wantOK(t, status, body)
	}
	if _, there := engine.networks[networkName(0, firstPort)]; there || len(engine.networks) != 1 {
		t.Errorf("got networks %v", engine.networks)
	}
	if got := strings.Count(strings.Join(engine.called(), "\n"), "NetworkDisconnect"); got != 1 {
		t.Errorf("disconnected %d times", got)
	}
}

// TestWhatIsNotConnectedIsDetached: Docker lists a network that it failed to connect, and then does not know it.
func TestWhatIsNotConnectedIsDetached(t *testing.T) {
	engine := withImage(t, firstPort)
	engine.putServer(container.StateRunning)
	engine.containers[namePrefix+serverID].NetworkSettings.Networks[networkName(0, firstPort)] = nil
	engine.fail["NetworkDisconnect"] = errors.New("container c is not connected to network n")
	status, body := ask(t, engine, "DELETE", serverPath+"/ports/"+firstPort, "")
	wantOK(t, status, body)
	if len(engine.networks) > 0 {
		t.Errorf("networks %v stay behind", engine.networks)
	}
}
