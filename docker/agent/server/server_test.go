package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
)

func TestVersion(t *testing.T) {
	status, body := ask(t, newEngine(), "GET", "/v1/version", "")
	if want := `{"agent":"1.0","engine":"20.10.24+dfsg1","api":"1.41"}`; status != 200 || strings.TrimSpace(body) != want {
		t.Errorf("got %d %s", status, body)
	}
	engine := newEngine()
	engine.fail["ServerVersion"] = errAway
	status, body = ask(t, engine, "GET", "/v1/version", "")
	wantFault(t, status, body, 500, agent.Failed)
}

func TestOnlyItsOwnVerbs(t *testing.T) {
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/", 404},
		{"GET", "/v2/version", 404},
		{"POST", "/v1/version", 405},
		{"POST", serverPath + "/exec", 404},
		{"POST", imagePath, 405},
		{"GET", "/v1/instances/" + serverID + "/../../version", 307}, // as the mux cleans it, and nothing is read outside
	} {
		engine := newEngine()
		if status, body := ask(t, engine, c.method, c.path, ""); status != c.want {
			t.Errorf("%s %s: got %d %s", c.method, c.path, status, body)
		}
		wantCalls(t, engine)
	}
}

// stuck is an engine that does not answer until the request is given up.
type stuck struct{ *engine }

func (stuck) ContainerStart(ctx context.Context, _ string, _ container.StartOptions) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestEveryVerbIsLimited: a caller hears that it took too long before his own patience ends.
func TestEveryVerbIsLimited(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateExited)
	server := New(t.Context(), stuck{engine}, Options{Version: "1.0", State: t.TempDir()}, quiet())
	w := httptest.NewRecorder()
	request := httptest.NewRequest("POST", "/", nil)
	request.SetPathValue("uuid", serverID)
	server.answering(1, server.start).ServeHTTP(w, request)
	wantFault(t, w.Code, w.Body.String(), 500, agent.Failed)
	if !strings.Contains(w.Body.String(), "too long") {
		t.Errorf("got %s", w.Body)
	}
}

// TestAVerbWaitsForAnother, of the same server, and no longer than its own limit.
func TestAVerbWaitsForAnother(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateRunning)
	server := New(t.Context(), engine, Options{Version: "1.0", State: t.TempDir()}, quiet())
	release, err := server.servers.acquire(t.Context(), serverID)
	if err != nil {
		t.Fatal(err)
	}
	waiting, cancel := context.WithCancel(t.Context())
	cancel()
	for _, verb := range []string{"POST /pause", "PUT ", "DELETE ", "POST /snapshot", "DELETE /ports"} {
		method, path, _ := strings.Cut(verb, " ")
		w := httptest.NewRecorder()
		server.Handler().ServeHTTP(w, httptest.NewRequestWithContext(waiting, method, serverPath+path, strings.NewReader("")))
		if w.Code != http.StatusInternalServerError {
			t.Errorf("%s: got %d %s", verb, w.Code, w.Body)
		}
	}
	wantCalls(t, engine)
	release()
	w := httptest.NewRecorder()
	server.Handler().ServeHTTP(w, httptest.NewRequest("POST", serverPath+"/pause", nil))
	wantOK(t, w.Code, w.Body.String())
}

// What fails here is told to who asks how the agent does; what was asked wrongly is not.
func TestTheLastFailureIsKept(t *testing.T) {
	e := newEngine()
	handler := New(t.Context(), e, Options{Version: "1.0", State: t.TempDir()}, quiet()).Handler()
	get := func(path string) string {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		return w.Body.String()
	}
	get("/v1/instances/" + serverID)
	if got := get("/v1/version"); strings.Contains(got, "last_failure") {
		t.Errorf("got %s", got)
	}
	e.fail["ContainerList"] = errAway
	get("/v1/instances")
	if got := get("/v1/version"); !strings.Contains(got, `"request":"GET /v1/instances","reason":"docker is away"`) {
		t.Errorf("got %s", got)
	}
}
