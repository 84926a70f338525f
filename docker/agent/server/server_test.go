package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/engine/enginetest"
)

func TestVersion(t *testing.T) {
	status, body := ask(t, enginetest.New(), "GET", "/v1/version", "")
	if want := `{"agent":"1.0","engine":"20.10.24+dfsg1","api":"1.41"}`; status != 200 || strings.TrimSpace(body) != want {
		t.Errorf("got %d %s", status, body)
	}
	engine := enginetest.New()
	engine.Fail["ServerVersion"] = enginetest.ErrAway
	status, body = ask(t, engine, "GET", "/v1/version", "")
	agenttest.WantFault(t, status, body, 500, agent.Failed)
}

func TestOnlyItsOwnVerbs(t *testing.T) {
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/", 404},
		{"GET", "/v2/version", 404},
		{"POST", "/v1/version", 405},
		{"POST", agenttest.ServerPath + "/exec", 404},
		{"POST", "/v1/images/" + enginetest.ImageID, 405},
		{"GET", "/v1/instances/" + enginetest.ServerID + "/../../version", 307}, // as the mux cleans it, and nothing is read outside
	} {
		engine := enginetest.New()
		if status, body := ask(t, engine, c.method, c.path, ""); status != c.want {
			t.Errorf("%s %s: got %d %s", c.method, c.path, status, body)
		}
		engine.WantCalls(t)
	}
}

// stuck is an engine that does not answer until the request is given up.
type stuck struct{ *enginetest.Engine }

func (stuck) ContainerStart(ctx context.Context, _ string, _ container.StartOptions) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestEveryVerbIsLimited: a caller hears that it took too long before his own patience ends.
func TestEveryVerbIsLimited(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateExited)
	server := newServer(t, stuck{engine})
	w := httptest.NewRecorder()
	request := httptest.NewRequest("POST", "/", nil)
	request.SetPathValue("uuid", enginetest.ServerID)
	server.answering(1, verb(server.instances.Power.Start)).ServeHTTP(w, request)
	agenttest.WantFault(t, w.Code, w.Body.String(), 500, agent.Failed)
	if !strings.Contains(w.Body.String(), "too long") {
		t.Errorf("got %s", w.Body)
	}
}

// What fails here is told to who asks how the agent does; what was asked wrongly is not.
func TestTheLastFailureIsKept(t *testing.T) {
	e := enginetest.New()
	handler := newServer(t, e).Handler()
	get := func(path string) string {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		return w.Body.String()
	}
	get("/v1/instances/" + enginetest.ServerID)
	if got := get("/v1/version"); strings.Contains(got, "last_failure") {
		t.Errorf("got %s", got)
	}
	e.Fail["ContainerList"] = enginetest.ErrAway
	get("/v1/instances")
	if got := get("/v1/version"); !strings.Contains(got, `"request":"GET /v1/instances","reason":"docker is away"`) {
		t.Errorf("got %s", got)
	}
}

// TestCallsToTheEngineHaveDeadlines of their own: an engine that does not answer is named before the request's time is over.
func TestCallsToTheEngineHaveDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		docker := enginetest.New()
		docker.PutServer(container.StateRunning)
		docker.Hang["ContainerInspect"] = true
		began := time.Now()
		status, body := ask(t, docker, "GET", agenttest.ServerPath, "")
		agenttest.WantFault(t, status, body, 500, agent.Failed)
		if took := time.Since(began); took >= agent.ShortTimeout || !strings.Contains(body, "Docker Engine did not answer in time when asked to inspect container") {
			t.Errorf("got %s after %s", body, took)
		}
	})
}

// TestARequestThatIsOver is not worked at any longer: its context goes with each verb.
func TestARequestThatIsOver(t *testing.T) {
	for _, route := range []string{
		"GET /v1/host", "GET /v1/orphans", "DELETE /v1/orphans", "GET /v1/servers", "GET /v1/instances", "GET ", "GET /diagnostics", "GET /console",
		"PUT ", "DELETE ", "POST /start", "POST /stop?grace=1", "POST /restart?grace=1", "POST /pause", "POST /unpause", "POST /aside?grace=1",
		"DELETE /aside", "POST /restore", "PUT /password", "POST /snapshot", "POST /commit", "DELETE /ports/c0ffee00-1111-4222-8333-444455556666",
	} {
		t.Run(route, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				docker := enginetest.New()
				docker.PutServer(container.StateRunning)
				docker.Hang["ContainerInspect"], docker.Hang["ContainerList"] = true, true
				over, cancel := context.WithCancel(t.Context())
				cancel()
				method, path, _ := strings.Cut(route, " ")
				if !strings.HasPrefix(path, "/v1/") {
					path = agenttest.ServerPath + path
				}
				began := time.Now()
				newServer(t, docker).Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(over, method, path, nil))
				if took := time.Since(began); took > 0 {
					t.Errorf("it went on for %s", took)
				}
			})
		})
	}
}

// TestRequestsAreCounted by what is asked, whoever it is asked of, and by how it went; those that last as long as the caller
// likes are not.
func TestRequestsAreCounted(t *testing.T) {
	e := enginetest.New()
	e.PutServer(container.StateRunning)
	s := newServer(t, e)
	ask := func(handler http.Handler, method, path string) string {
		_, body := agenttest.Ask(t, handler, method, path, "")
		return body
	}
	ask(s.Handler(), "GET", agenttest.ServerPath)
	ask(s.Handler(), "GET", agenttest.ServerPath)
	ask(s.Handler(), "GET", "/v1/instances/11111111-2222-4333-8444-555555555555")
	ask(s.Handler(), "GET", "/v1/no/such/thing")
	e.Failed <- enginetest.ErrAway
	ask(s.Handler(), "GET", "/v1/events")
	got := ask(s.metrics.Handler(), "GET", "/metrics")
	for _, want := range []string{
		`{outcome="done",verb="GET /v1/instances/{uuid}"} 2`,
		`{outcome="refused",verb="GET /v1/instances/{uuid}"} 1`,
	} {
		if !strings.Contains(got, "ndock_agent_request_duration_seconds_count"+want+"\n") {
			t.Errorf("there is no %s in\n%s", want, got)
		}
	}
	for _, no := range []string{"/v1/events", "/v1/no", "11111111"} {
		if strings.Contains(got, no) {
			t.Errorf("there is %s", no)
		}
	}
}

// TestFailuresAreCounted: those of this host, when they were, and answers that break off.
func TestFailuresAreCounted(t *testing.T) {
	e := enginetest.New()
	s := newServer(t, e)
	e.Fail["ContainerList"] = enginetest.ErrAway
	agenttest.Ask(t, s.Handler(), "GET", "/v1/instances", "")
	func() {
		defer func() { _ = recover() }() // as net/http does
		request := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		request.Pattern = "GET /breaks"
		s.answering(time.Minute, func(http.ResponseWriter, *http.Request) (any, error) { panic(http.ErrAbortHandler) }).ServeHTTP(httptest.NewRecorder(), request)
	}()
	_, got := agenttest.Ask(t, s.metrics.Handler(), "GET", "/metrics", "")
	for _, want := range []string{
		`ndock_agent_request_duration_seconds_count{outcome="failed",verb="GET /v1/instances"} 1`,
		`ndock_agent_request_duration_seconds_count{outcome="failed",verb="GET /breaks"} 1`,
		"ndock_agent_last_failure_timestamp_seconds 1.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %s", want)
		}
	}
}
