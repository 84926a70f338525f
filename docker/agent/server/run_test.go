package server

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent/agenttest"
	"ndock/docker/engine"
	"ndock/docker/engine/enginetest"
)

// running is an agent, and how to end it: ended gives what Run returns.
type running struct {
	options Options
	http    http.Client
	end     context.CancelFunc
	ended   chan error
}

func run(t *testing.T, docker engine.Docker) *running {
	t.Helper()
	return runWith(t, docker, Options{})
}

func runWith(t *testing.T, docker engine.Docker, options Options) *running {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("an agent runs as root")
	}
	path := socketPath(t)
	options.Socket, options.User, options.Version = path, "root", "1.0"
	agent := &running{options: options, ended: make(chan error, 1)}
	agent.http.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", path)
	}}
	ctx, end := context.WithCancel(context.Background())
	agent.end = end
	t.Cleanup(end)
	go func() { agent.ended <- Run(ctx, docker, agent.options, agenttest.Quiet()) }()
	for { // until it listens
		if conn, err := net.Dial("unix", path); err == nil {
			conn.Close()
			return agent
		}
		select {
		case err := <-agent.ended:
			t.Fatalf("the agent ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
}

// wantEnd waits for the agent to end well, sooner than it would by giving requests up.
func (r *running) wantEnd(t *testing.T) {
	t.Helper()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("the agent ended with %v", err)
		}
	case <-time.After(drainTimeout / 2):
		t.Fatal("the agent does not end")
	}
	if _, err := os.Lstat(r.options.Socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s stays behind: %v", r.options.Socket, err)
	}
}

func TestRunEndsWhileEventsAreFollowed(t *testing.T) {
	agent := run(t, enginetest.New())
	response, err := agent.http.Get("http://agent/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	if !lines.Scan() {
		t.Fatalf("got no hello: %v", lines.Err())
	}
	agent.end()
	agent.wantEnd(t)
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("the stream did not end as one does: %q, %v", lines.Text(), lines.Err())
	}
}

// held is an engine that answers one question only when it is let.
type held struct {
	*enginetest.Engine
	asked, answer chan struct{}
}

func (h held) ContainerList(ctx context.Context, options container.ListOptions) ([]container.Summary, error) {
	close(h.asked)
	<-h.answer
	return h.Engine.ContainerList(ctx, options)
}

func TestRunFinishesWhatItIsAt(t *testing.T) {
	engine := held{enginetest.New(), make(chan struct{}), make(chan struct{})}
	agent := run(t, engine)
	status := make(chan int, 1)
	go func() {
		response, err := agent.http.Get("http://agent/v1/instances")
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		response.Body.Close()
		status <- response.StatusCode
	}()
	<-engine.asked
	agent.end()
	wantGone(t, agent.options.Socket)
	close(engine.answer)
	if got := <-status; got != http.StatusOK {
		t.Errorf("got %d", got)
	}
	agent.wantEnd(t)
}

// wantGone waits until nothing new is taken on a socket.
func wantGone(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(drainTimeout / 2); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("unix", path)
		if err != nil {
			return
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatalf("%s is still served", path)
		}
	}
}

func TestRunWithoutNova(t *testing.T) {
	path := socketPath(t)
	if err := Run(t.Context(), enginetest.New(), Options{Socket: path, User: "no-such-user"}, agenttest.Quiet()); err == nil || !strings.Contains(err.Error(), "Nova") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it listened all the same: %v", err)
	}
}

// TestAUserWithoutAName: nova-compute runs in a container, and this machine does not know its user.
func TestAUserWithoutAName(t *testing.T) {
	if uid, gid, err := account("42436"); err != nil || uid != 42436 || gid != 42436 {
		t.Errorf("got %d, %d, %v", uid, gid, err)
	}
	if uid, gid, err := account("root"); err != nil || uid != 0 || gid != 0 {
		t.Errorf("got %d, %d, %v", uid, gid, err)
	}
}

// TestTheEngineIsReplaced: what the client and the engine speak was agreed on with another one.
func TestTheEngineIsReplaced(t *testing.T) {
	fake := enginetest.New()
	agent := run(t, fake)
	fake.Mu.Lock()
	fake.Fail["ServerVersion"] = errors.New("Error response from daemon: client version 1.51 is too new. Maximum supported API version is 1.41")
	fake.Mu.Unlock()
	response, err := agent.http.Get("http://agent/v1/version")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if err := <-agent.ended; !errors.Is(err, engine.ErrAPIChange) {
		t.Errorf("the agent ended with %v", err)
	}
}

// TestMetricsAreServed where the operator says, as long as the agent runs.
func TestMetricsAreServed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	file := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(file, []byte("metrics: "+address+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	agent := runWith(t, enginetest.New(), Options{ConfigFile: file, State: t.TempDir()})
	until := func(served bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			conn, err := net.Dial("tcp", address)
			if err == nil {
				conn.Close()
			}
			if (err == nil) == served {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("served: %t, %v", !served, err)
			}
		}
	}
	until(true)
	agent.end()
	agent.wantEnd(t)
	until(false)
}
