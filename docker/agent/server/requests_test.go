package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/engine/enginetest"
)

func TestGraceOf(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "60": time.Minute, "1800": maxGrace, "1801": maxGrace,
		"9223372037":          maxGrace, // more nanoseconds than an int64 holds
		"9223372036854775807": maxGrace,
	} {
		if got, err := graceOf(httptest.NewRequest("POST", "/?grace="+text, nil)); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1.5", "1m", "9223372036854775808", "nonsense"} {
		if got, err := graceOf(httptest.NewRequest("POST", "/?grace="+text, nil)); err == nil || agent.CodeOf(err) != agent.BadRequest {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}

// A form that comes with a verb is not read: net/http would keep its files in root's temporary directory.
func TestAFormIsNotRead(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	server := httptest.NewServer(newServer(t, engine).Handler())
	t.Cleanup(server.Close)
	form := strings.NewReader("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n\r\n" + strings.Repeat("a", 64<<20) + "\r\n--x--\r\n")
	url := server.URL + "/v1/instances/" + enginetest.ServerID
	for path, want := range map[string]int{"/stop?grace=0": http.StatusOK, "/restart": http.StatusBadRequest} {
		form.Seek(0, io.SeekStart)
		answer, err := http.Post(url+path, "multipart/form-data; boundary=x", form)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if files, err := os.ReadDir(temporary); answer.StatusCode != want || err != nil || len(files) > 0 {
			t.Errorf("%s: got %d, files %v, %v", path, answer.StatusCode, files, err)
		}
	}
}

// A small body of JSON can be large in memory: none but a create, with its config drive, and a list of ports is large.
func TestBodiesAreShort(t *testing.T) {
	long := `"` + strings.Repeat("a", 2<<20) + `"`
	for _, path := range []string{
		"PUT " + agenttest.ServerPath + "/ports/x",
		"PUT " + agenttest.ServerPath + "/password", "POST " + agenttest.ServerPath + "/serial", "DELETE /v1/images",
		"POST /v1/images/" + enginetest.ImageID + "/layers", "POST /v1/commits/x/archive",
	} {
		method, path, _ := strings.Cut(path, " ")
		status, body := ask(t, enginetest.New(), method, path, long)
		if agenttest.WantFault(t, status, body, http.StatusBadRequest, agent.BadRequest); !strings.Contains(body, "unexpected EOF") {
			t.Errorf("%s %s: got %s", method, path, body)
		}
	}
	for _, path := range []string{"", "/ports"} {
		if status, body := ask(t, enginetest.New(), "PUT", agenttest.ServerPath+path, long); strings.Contains(body, "unexpected EOF") {
			t.Errorf("%s: got %d %s", path, status, body)
		}
	}
}

// A request whose body does not arrive ends when its time is up: else each keeps a connection of the agent's for ever.
func TestABodyThatDoesNotArrive(t *testing.T) {
	s := newServer(t, enginetest.New())
	verb := verbWith(func(context.Context, string, agent.Password) error { return nil })
	server := httptest.NewServer(s.answering(time.Millisecond, verb))
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PUT / HTTP/1.1\r\nHost: agent\r\nContent-Length: 9\r\n\r\n{")); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != http.StatusBadRequest {
		t.Errorf("got %v, %v", answer, err)
	}
}

// endless is an archive that never ends, and whose first bytes tell that they are read.
type endless struct{ begun func() }

func (e endless) Read(p []byte) (int, error) { e.begun(); return len(p), nil }

// A snapshot whose reader stands still ends when its time is up: else its image stays on this host for ever.
func TestASnapshotThatIsNotRead(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	s, ended := newServer(t, engine), make(chan bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		ctx, timeIsUp := context.WithCancel(r.Context())
		defer timeIsUp()
		engine.Archive = endless{timeIsUp}
		s.Handler().ServeHTTP(w, r.WithContext(ctx))
	}))
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("POST /v1/instances/" + enginetest.ServerID + "/snapshot HTTP/1.1\r\nHost: agent\r\nContent-Length: 0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	<-ended
	if len(engine.Images) != 0 {
		t.Errorf("images %v stay behind", engine.Images)
	}
}
