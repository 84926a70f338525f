package console

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/naming"
	"ndock/docker/engine/enginetest"
)

var asked = agent.Serial{Address: "127.0.0.1", Ports: somePorts, Lifetime: 60, Admit: agent.AdmitPath}

// newConsoles are those of an engine's servers.
func newConsoles(t *testing.T, engine *enginetest.Engine) *Consoles {
	t.Helper()
	find := func(ctx context.Context, uuid string) (container.InspectResponse, error) {
		return engine.ContainerInspect(ctx, naming.Container(uuid))
	}
	return New(t.Context(), engine, find, agenttest.Quiet())
}

// open asks for a console, and returns the port as Nova's proxy finds it.
func open(t *testing.T, consoles *Consoles) (*serverPort, string) {
	t.Helper()
	got, err := consoles.Open(t.Context(), enginetest.ServerID, asked)
	if err != nil {
		t.Fatal(err)
	}
	port := consoles.ports.ports[enginetest.ServerID]
	if port == nil || port.number != got.Port {
		t.Fatalf("got %+v", got)
	}
	return port, got.Path
}

// openConsole goes all the way, and returns the caller's end and the container's.
func openConsole(t *testing.T, consoles *Consoles, engine *enginetest.Engine) (caller net.Conn, in io.Reader, container net.Conn) {
	t.Helper()
	port, path := open(t, consoles)
	caller, in = dial(t, port, connect(path))
	wantText(t, in, established+agent.SizesTaken)
	return caller, in, <-engine.Attached
}

func TestSerial(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	consoles := newConsoles(t, engine)
	caller, in, process := openConsole(t, consoles, engine)
	fmt.Fprint(caller, "\x10\x11ls\r")
	wantText(t, process, "\x10\x11ls\r")
	go fmt.Fprint(process, "bin\r\n# ")
	wantText(t, in, "bin\r\n# ")
	engine.WantCalls(t, "ContainerInspect "+naming.Container(enginetest.ServerID), "ContainerInspect "+strings.Repeat("c", 64),
		"ContainerAttach stream=true stdin=true stdout=true", "ContainerResize 80x24")

	_, second, other := openConsole(t, consoles, engine) // and the first is as it was, its size too
	go fmt.Fprint(other, "second")
	wantText(t, second, "second")
	go fmt.Fprint(process, "first")
	wantText(t, in, "first")
	if calls := engine.Called(); slices.Contains(calls[4:], "ContainerResize 80x24") {
		t.Errorf("Docker was asked for %q", calls)
	}
}

// TestSerialSizes: sizes go to the terminal, however the client cuts them, and all else to the process, a byte that may begin
// one too as soon as it does not.
func TestSerialSizes(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	caller, _, process := openConsole(t, newConsoles(t, engine), engine)
	fmt.Fprint(caller, "ls\xff\xffndock:5")
	wantText(t, process, "ls\xff")
	fmt.Fprint(caller, "0x132;\r\xffndock:0x0;")
	wantText(t, process, "\r\xffndock:0x0;")
	eventually(t, func() bool { return slices.Contains(engine.Called(), "ContainerResize 132x50") })
}

// TestSizesAreFew: a client that tells sizes without end costs Docker few requests, and the last size is what the terminal gets.
func TestSizesAreFew(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	caller, _, _ := openConsole(t, newConsoles(t, engine), engine)
	begun := time.Now()
	for rows := range 900 {
		fmt.Fprint(caller, agent.Size{Rows: rows + 1, Columns: 80}.Message())
	}
	eventually(t, func() bool { return slices.Contains(engine.Called(), "ContainerResize 80x900") })
	most := 5 + int(time.Since(begun)/resizeInterval)
	if calls := engine.Called(); len(calls) > 4+most {
		t.Errorf("Docker was asked %d times", len(calls))
	}
}

func eventually(t *testing.T, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !reached(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come")
		}
	}
}

func TestSerialEndsWithTheContainer(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	_, in, process := openConsole(t, newConsoles(t, engine), engine)
	fmt.Fprint(process, "bye")
	process.Close()
	wantClosed(t, in, "bye")
}

func TestSerialEndsWithTheCaller(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	caller, _, process := openConsole(t, newConsoles(t, engine), engine)
	caller.Close()
	wantClosed(t, process, "")
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
	for name, change := range map[string]func(*enginetest.Engine){
		"stopped":   func(e *enginetest.Engine) { e.PutServer(container.StateExited) },
		"gone":      func(e *enginetest.Engine) { delete(e.Containers, naming.Container(enginetest.ServerID)) },
		"no attach": func(e *enginetest.Engine) { e.Fail["ContainerAttach"] = enginetest.ErrAway },
	} {
		engine := enginetest.New()
		engine.PutServer(container.StateRunning)
		port, path := open(t, newConsoles(t, engine))
		change(engine)
		_, in := dial(t, port, connect(path))
		got, err := io.ReadAll(in)
		if want := "HTTP/1.1 503 Service Unavailable\r\n\r\n"; string(got) != want || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestSerialWithoutASize(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	engine.Fail["ContainerResize"] = enginetest.ErrAway
	_, in, process := openConsole(t, newConsoles(t, engine), engine)
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
		go func() { ended <- bridge(caller, caller, container, container, time.Millisecond, func(agent.Size) {}) }()
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
		engine := enginetest.New()
		engine.PutServer(container.StateRunning)
		ports, end := startPorts(t)
		consoles := newConsoles(t, engine)
		consoles.ports, ports.session = ports, consoles.serve
		for i := range 20 {
			caller, in, process := openConsole(t, consoles, engine)
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
		consoles.Wait()
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
