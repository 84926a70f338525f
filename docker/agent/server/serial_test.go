package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
)

const (
	serialPath = serverPath + "/serial"
	serialBody = `{"address":"127.0.0.1","ports":"` + somePorts + `","lifetime":60,"admit":"path"}`
)

// askSerial asks a server for a console, and returns the port as Nova's proxy finds it.
func askSerial(t *testing.T, server *Server) (*serialPort, string) {
	t.Helper()
	w := httptest.NewRecorder()
	server.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", serialPath, strings.NewReader(serialBody)))
	wantOK(t, w.Code, w.Body.String())
	var got agent.SerialPort
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	port := server.serial.ports[serverID]
	if port == nil || port.number != got.Port {
		t.Fatalf("got %+v", got)
	}
	return port, got.Path
}

// openConsole goes all the way, and returns the caller's end and the container's.
func openConsole(t *testing.T, server *Server, engine *engine) (caller net.Conn, in io.Reader, container net.Conn) {
	t.Helper()
	port, path := askSerial(t, server)
	caller, in = dial(t, port, connect(path))
	wantText(t, in, established)
	return caller, in, <-engine.attached
}

func TestSerial(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateRunning)
	server := New(t.Context(), engine, Options{}, quiet())
	caller, in, process := openConsole(t, server, engine)
	fmt.Fprint(caller, "\x10\x11ls\r")
	wantText(t, process, "\x10\x11ls\r")
	go fmt.Fprint(process, "bin\r\n# ")
	wantText(t, in, "bin\r\n# ")
	wantCalls(t, engine, "ContainerInspect "+namePrefix+serverID, "ContainerInspect "+strings.Repeat("c", 64),
		"ContainerAttach stream=true stdin=true stdout=true", "ContainerResize 80x24")

	_, second, other := openConsole(t, server, engine) // and the first is as it was, its size too
	go fmt.Fprint(other, "second")
	wantText(t, second, "second")
	go fmt.Fprint(process, "first")
	wantText(t, in, "first")
	if calls := engine.called(); slices.Contains(calls[4:], "ContainerResize 80x24") {
		t.Errorf("Docker was asked for %q", calls)
	}
}

func TestSerialEndsWithTheContainer(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateRunning)
	_, in, process := openConsole(t, New(t.Context(), engine, Options{}, quiet()), engine)
	fmt.Fprint(process, "bye")
	process.Close()
	wantClosed(t, in, "bye")
}

func TestSerialEndsWithTheCaller(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateRunning)
	caller, _, process := openConsole(t, New(t.Context(), engine, Options{}, quiet()), engine)
	caller.Close()
	wantClosed(t, process, "")
}

func TestSerialFaults(t *testing.T) {
	status, body := ask(t, newEngine(), "POST", serialPath, serialBody)
	wantFault(t, status, body, 404, agent.NoSuchInstance)
	for state, code := range map[container.ContainerState]string{
		container.StateExited: agent.NotRunning, container.StateCreated: agent.NotRunning, container.StatePaused: agent.NotRunning,
	} {
		engine := newEngine()
		engine.putServer(state)
		status, body := ask(t, engine, "POST", serialPath, serialBody)
		wantFault(t, status, body, 409, code)
	}
	engine := newEngine()
	engine.putServer(container.StateRunning)
	for _, change := range [][2]string{
		{somePorts, "1:2"}, {`"lifetime":60`, `"lifetime":0`}, {`"path"`, `"anyone"`}, {`{`, `[`},
	} {
		status, body = ask(t, engine, "POST", serialPath, strings.Replace(serialBody, change[0], change[1], 1))
		wantFault(t, status, body, 400, agent.BadRequest)
	}
	for _, config := range []container.Config{{Tty: false, OpenStdin: true}, {Tty: true, OpenStdin: false}} {
		config.Labels = engine.containers[namePrefix+serverID].Config.Labels
		*engine.containers[namePrefix+serverID].Config = config
		status, body = ask(t, engine, "POST", serialPath, serialBody)
		wantFault(t, status, body, 409, agent.NoTerminal)
	}
}

func TestLifetimeOf(t *testing.T) {
	for seconds, want := range map[int]time.Duration{1: time.Second, 600: 10 * time.Minute, 86401: maxLifetime, 1 << 62: maxLifetime} {
		if got, err := lifetimeOf(agent.Serial{Lifetime: seconds}); got != want || err != nil {
			t.Errorf("%d: got %s, %v", seconds, got, err)
		}
	}
}

// TestSerialOfAServerThatIsGone: it stopped, or has another container, since the path was given out.
func TestSerialOfAServerThatIsGone(t *testing.T) {
	for name, change := range map[string]func(*engine){
		"stopped":   func(e *engine) { e.putServer(container.StateExited) },
		"gone":      func(e *engine) { delete(e.containers, namePrefix+serverID) },
		"no attach": func(e *engine) { e.fail["ContainerAttach"] = errAway },
	} {
		engine := newEngine()
		engine.putServer(container.StateRunning)
		port, path := askSerial(t, New(t.Context(), engine, Options{}, quiet()))
		change(engine)
		_, in := dial(t, port, connect(path))
		got, err := io.ReadAll(in)
		if want := "HTTP/1.1 503 Service Unavailable\r\n\r\n"; string(got) != want || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestSerialWithoutASize(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateRunning)
	engine.fail["ContainerResize"] = errAway
	_, in, process := openConsole(t, New(t.Context(), engine, Options{}, quiet()), engine)
	go fmt.Fprint(process, "all the same")
	wantText(t, in, "all the same")
}

// TestBridgeGivesUp on who takes nothing of what is written to him, on either side.
func TestBridgeGivesUp(t *testing.T) {
	for _, stuck := range []string{"caller", "container"} {
		caller, callersEnd := net.Pipe()
		container, containersEnd := net.Pipe()
		writes := containersEnd
		if stuck == "container" {
			writes = callersEnd
		}
		go io.WriteString(writes, "to whom it concerns")
		ended := make(chan error, 1)
		go func() { ended <- bridge(caller, caller, container, container, time.Millisecond) }()
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("a %s that takes nothing: got no error", stuck)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("a %s that takes nothing is waited for", stuck)
		}
	}
}

// TestSerialLeavesNothing: of many consoles, ended by each side and by the agent, no goroutine and no file is left.
func TestSerialLeavesNothing(t *testing.T) {
	before, files := runtime.NumGoroutine(), openFiles(t)
	func() {
		engine := newEngine()
		engine.putServer(container.StateRunning)
		ports, end := startPorts(t)
		server := New(t.Context(), engine, Options{}, quiet())
		server.serial, ports.session = ports, server.serialSession
		for i := range 20 {
			caller, in, process := openConsole(t, server, engine)
			switch i % 3 {
			case 0:
				caller.Close()
				wantClosed(t, process, "")
			case 1:
				process.Close()
				wantClosed(t, in, "")
				caller.Close()
			default:
				defer caller.Close()
			}
		}
		end()
		server.Wait()
	}()
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before || openFiles(t) > files; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines and %d files were there, %d and %d are:\n%s", before, files, runtime.NumGoroutine(),
				openFiles(t), stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
