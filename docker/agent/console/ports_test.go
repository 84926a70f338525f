package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/engine/enginetest"
)

const somePorts = "20000:30000"

// echo is a session that says where it is and returns what it hears, until the caller or the agent ends it.
func echo(_ context.Context, caller *conn, container string, first bool) error {
	if err := caller.answer(200); err != nil {
		return err
	}
	fmt.Fprintf(caller.Conn, "%s %t\n", container, first)
	_, err := io.Copy(caller.Conn, caller)
	return err
}

// startPorts returns ports that echo, and what ends them.
func startPorts(t *testing.T) (*portSet, context.CancelFunc) {
	t.Helper()
	closing, end := context.WithCancel(t.Context())
	ports := newPorts(closing, echo, agenttest.Quiet())
	t.Cleanup(func() { end(); ports.sessions.Wait() })
	return ports, end
}

func openPort(t *testing.T, ports *portSet, uuid string) *serverPort {
	t.Helper()
	port, err := ports.open(uuid, "127.0.0.1", somePorts, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	port.admissions.window = 0 // what it is for has tests of its own
	return port
}

// dial connects to a port as Nova's proxy does, and says what it says.
func dial(t *testing.T, port *serverPort, says string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", port.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, says); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

func connect(path string) string { return "CONNECT " + path + " HTTP/1.1\r\n\r\n" }

// wantText reads exactly this much.
func wantText(t *testing.T, from io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(from, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v, want %q", got[:n], err, want)
	}
}

// wantClosed reads what is left and finds the end.
func wantClosed(t *testing.T, from io.Reader, want string) {
	t.Helper()
	got, err := io.ReadAll(from)
	if string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("it stays open")
	}
}

const established = "HTTP/1.1 200 OK\r\n\r\n"

func TestPortByPath(t *testing.T) {
	ports, _ := startPorts(t)
	port := openPort(t, ports, enginetest.ServerID)
	path := port.admissions.add(ours, agent.AdmitPath, time.Minute)
	conn, in := dial(t, port, connect(path)+"early")
	wantText(t, in, established+ours+" true\nearly")
	fmt.Fprint(conn, "later")
	wantText(t, in, "later")

	_, used := dial(t, port, connect(path))
	wantClosed(t, used, "HTTP/1.1 404 Not Found\r\n\r\n")

	_, second := dial(t, port, connect(port.admissions.add(theirs, agent.AdmitPath, time.Minute)))
	wantText(t, second, established+theirs+" false\n")
	fmt.Fprint(conn, "still there")
	wantText(t, in, "still there")
}

func TestPortForTheNext(t *testing.T) {
	ports, _ := startPorts(t)
	port := openPort(t, ports, enginetest.ServerID)
	port.admissions.add(ours, agent.AdmitNext, time.Minute)
	conn, in := dial(t, port, "")
	wantText(t, in, ours+" true\n") // and no answer before it: nobody asked
	long := strings.Repeat("a", 2*maxRequest)
	go fmt.Fprint(conn, long)
	wantText(t, in, long)
	_, unannounced := dial(t, port, connect(""))
	wantClosed(t, unannounced, "HTTP/1.1 404 Not Found\r\n\r\n")
}

// TestPortAlwaysAnswers: Nova's proxy looks for the end of an answer forever, whether the connection is there or not.
func TestPortAlwaysAnswers(t *testing.T) {
	ports, _ := startPorts(t)
	port := openPort(t, ports, enginetest.ServerID)
	for says, want := range map[string]string{
		connect("/unknown"):                   "404 Not Found",
		connect("/"):                          "404 Not Found",
		"GET / HTTP/1.1\r\n\r\n":              "400 Bad Request",
		"CONNECT\r\n\r\n":                     "400 Bad Request",
		"\r\n\r\n":                            "400 Bad Request",
		"CONNECT / HTTP/1.1\r\nno header\r\n": "400 Bad Request",
		strings.Repeat("a", maxRequest):       "400 Bad Request",
	} {
		_, in := dial(t, port, says)
		wantClosed(t, in, "HTTP/1.1 "+want+"\r\n\r\n")
	}
}

func TestCallerThatSaysNothing(t *testing.T) {
	agents, theirs := net.Pipe()
	caller := newConn(agents)
	caller.timeout = time.Millisecond
	failed := make(chan error, 1)
	go func() {
		_, err := caller.admit(t.Context(), newAdmissions())
		agents.Close()
		failed <- err
	}()
	wantClosed(t, theirs, "HTTP/1.1 408 Request Timeout\r\n\r\n")
	if err := <-failed; err == nil {
		t.Error("it got in")
	}
}

// TestPortIsTheServers: it stays the same for a server, and is another for another.
func TestPortIsTheServers(t *testing.T) {
	ports, _ := startPorts(t)
	first, again, other := openPort(t, ports, enginetest.ServerID), openPort(t, ports, enginetest.ServerID), openPort(t, ports, enginetest.ImageID)
	if first != again || first.number == other.number {
		t.Errorf("got %d, %d, %d", first.number, again.number, other.number)
	}
	path := first.admissions.add(ours, agent.AdmitPath, time.Minute)
	_, in := dial(t, other, connect(path))
	wantClosed(t, in, "HTTP/1.1 404 Not Found\r\n\r\n")
	_, in = dial(t, first, connect(path))
	wantText(t, in, established)
}

// TestPortMoves when the operator has configured another address.
func TestPortMoves(t *testing.T) {
	ports, _ := startPorts(t)
	before := openPort(t, ports, enginetest.ServerID)
	after, err := ports.open(enginetest.ServerID, "127.0.0.2", somePorts, time.Minute)
	if err != nil || after == before {
		t.Fatalf("got %v, %v", after, err)
	}
	wantRefused(t, before)
}

// wantRefused waits until nobody listens any more.
func wantRefused(t *testing.T, port *serverPort) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("tcp", port.Addr().String())
		if err != nil {
			return
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("the port stays open")
		}
	}
}

func TestPortCloses(t *testing.T) {
	ports, _ := startPorts(t)
	port, err := ports.open(enginetest.ServerID, "127.0.0.1", somePorts, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, port)
	if again := openPort(t, ports, enginetest.ServerID); again == port {
		t.Error("the closed port is given out")
	}
}

// TestPortStays as long as the latest request says, and while someone is there.
func TestPortStays(t *testing.T) {
	ports, _ := startPorts(t)
	port := openPort(t, ports, enginetest.ServerID)
	if _, err := ports.open(enginetest.ServerID, "127.0.0.1", somePorts, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	ports.expire(enginetest.ServerID, port)
	_, in := dial(t, port, connect(port.admissions.add(ours, agent.AdmitPath, time.Minute)))
	wantText(t, in, established)
	port.expires = time.Now()
	ports.expire(enginetest.ServerID, port)
	if conn, err := net.Dial("tcp", port.Addr().String()); err != nil {
		t.Errorf("it closed while someone was there: %v", err)
	} else {
		conn.Close()
	}
}

// TestPortsEnd with the agent: what listens, who is inside, and who has not said yet what he wants.
func TestPortsEnd(t *testing.T) {
	ports, end := startPorts(t)
	port := openPort(t, ports, enginetest.ServerID)
	_, inside := dial(t, port, connect(port.admissions.add(ours, agent.AdmitPath, time.Minute)))
	wantText(t, inside, established+ours+" true\n")
	_, outside := dial(t, port, "CONN")
	end()
	ports.sessions.Wait()
	wantClosed(t, inside, "")
	wantClosed(t, outside, "")
	wantRefused(t, port)
	if _, err := ports.open(enginetest.ImageID, "127.0.0.1", somePorts, time.Minute); err == nil {
		t.Error("a port was opened afterwards")
	}
}

func TestPortTakesFew(t *testing.T) {
	ports, _ := startPorts(t)
	port := openPort(t, ports, enginetest.ServerID)
	for range maxConnections {
		_, in := dial(t, port, connect(port.admissions.add(ours, agent.AdmitPath, time.Minute)))
		wantText(t, in, established)
	}
	conn, in := dial(t, port, "")
	wantClosed(t, in, "")
	conn.Close()
}

func TestNoFreePort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	number := taken.Addr().(*net.TCPAddr).Port
	ports, _ := startPorts(t)
	_, err = ports.open(enginetest.ServerID, "127.0.0.1", fmt.Sprintf("%d:%d", number, number+1), time.Minute)
	if err == nil || agent.CodeOf(err) != agent.NoFreePort {
		t.Errorf("got %v", err)
	}
	if _, err = ports.open(enginetest.ServerID, "fe80::1", somePorts, time.Minute); err == nil || agent.CodeOf(err) != agent.Failed {
		t.Errorf("an address that cannot be listened on: got %v", err)
	}
}

func TestPortsOfRange(t *testing.T) {
	for text, want := range map[string][2]int{"10000:20000": {10000, 20000}, "1024:65536": {1024, 65536}, "2000:2001": {2000, 2001}} {
		if first, end, err := portsOfRange(text); err != nil || [2]int{first, end} != want {
			t.Errorf("%s: got %d, %d, %v", text, first, end, err)
		}
	}
	for _, text := range []string{"", "10000", "10000:", ":20000", "2000:2000", "2001:2000", "1:2000", "1023:2000", "2000:65537", "-2000:3000", "2000:3000\n", "99999:100000"} {
		if first, end, err := portsOfRange(text); err == nil || agent.CodeOf(err) != agent.BadRequest {
			t.Errorf("%q: got %d, %d, %v", text, first, end, err)
		}
	}
}
