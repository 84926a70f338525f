package server

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/agent/naming"
	"ndock/docker/engine/enginetest"
)

func message(action events.Action, name, label string) events.Message {
	return events.Message{Type: events.ContainerEventType, Action: action, Actor: events.Actor{Attributes: map[string]string{"name": name, naming.LabelServer: label}}}
}

func TestTranslate(t *testing.T) {
	ours := naming.Container(enginetest.ServerID)
	for name, c := range map[string]struct {
		message events.Message
		want    string // nothing: Nova is not told
	}{
		"start":                  {message(events.ActionStart, ours, enginetest.ServerID), "started"},
		"die":                    {message(events.ActionDie, ours, enginetest.ServerID), "stopped"},
		"pause":                  {message(events.ActionPause, ours, enginetest.ServerID), "paused"},
		"unpause":                {message(events.ActionUnPause, ours, enginetest.ServerID), "resumed"},
		"kill":                   {message(events.ActionKill, ours, enginetest.ServerID), ""},
		"create":                 {message(events.ActionCreate, ours, enginetest.ServerID), ""},
		"label of an image":      {message(events.ActionDie, "eager_euler", enginetest.ServerID), ""},
		"label of another":       {message(events.ActionDie, ours, "another"), ""},
		"name without ndock-":    {message(events.ActionDie, enginetest.ServerID, enginetest.ServerID), ""},
		"no label, no name":      {message(events.ActionDie, "", ""), ""},
		"nothing is known of it": {events.Message{Action: events.ActionDie}, ""},
	} {
		got, tell := translate(c.message)
		if tell != (c.want != "") || tell && (got != agent.Event{Event: c.want, UUID: enginetest.ServerID}) {
			t.Errorf("%s: got %+v, %t", name, got, tell)
		}
	}
}

// follow opens the events of an agent over this engine. next gives the next line, or "" when they have ended.
func follow(t *testing.T, closing context.Context, docker *enginetest.Engine) (response *http.Response, next func() string) {
	t.Helper()
	server := httptest.NewServer(New(closing, docker, Options{Version: "1.0", State: t.TempDir()}, config.Default(), agenttest.Quiet()).Handler())
	t.Cleanup(server.Close)
	response, err := http.Get(server.URL + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	return response, func() string {
		if !lines.Scan() {
			return ""
		}
		return lines.Text()
	}
}

func TestEvents(t *testing.T) {
	engine := enginetest.New()
	_, next := follow(t, t.Context(), engine)
	if got := next(); got != `{"event":"hello"}` {
		t.Fatalf("got %q first", got)
	}
	engine.Happen(message(events.ActionKill, naming.Container(enginetest.ServerID), enginetest.ServerID))
	engine.Happen(message(events.ActionDie, naming.Container(enginetest.ServerID), enginetest.ServerID))
	if got := next(); got != `{"event":"stopped","uuid":"`+enginetest.ServerID+`"}` {
		t.Errorf("got %q", got)
	}
	engine.WantCalls(t, "Events "+naming.LabelServer, "ContainerList")
}

func TestEventsEndWithDockers(t *testing.T) {
	engine := enginetest.New()
	_, next := follow(t, t.Context(), engine)
	next()
	engine.Failed <- errors.New("the engine ends")
	if got := next(); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestEventsEndWithTheAgent(t *testing.T) {
	closing, end := context.WithCancel(t.Context())
	_, next := follow(t, closing, enginetest.New())
	next()
	end()
	if got := next(); got != "" {
		t.Errorf("got %q", got)
	}
}

// unread is an answer whose caller reads nothing: a write ends at its deadline alone.
type unread struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (u *unread) SetWriteDeadline(deadline time.Time) error {
	u.deadline = deadline
	return nil
}

func (u *unread) Write([]byte) (int, error) {
	if u.deadline.IsZero() {
		return 0, errors.New("it would never end")
	}
	return 0, os.ErrDeadlineExceeded
}

// A caller that reads no events is left: else each keeps a connection and a stream of Docker's for ever.
func TestEventsThatAreNotRead(t *testing.T) {
	answer := &unread{ResponseRecorder: httptest.NewRecorder()}
	if _, err := newServer(t, enginetest.New()).getEvents(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/v1/events", nil)); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(answer.deadline); left < heartbeat || left > time.Minute {
		t.Errorf("the deadline is in %v", left)
	}
}

// TestManyFollowEvents: each costs a stream of Docker's. Who leaves makes room.
func TestManyFollowEvents(t *testing.T) {
	server := httptest.NewServer(newServer(t, enginetest.New()).Handler())
	t.Cleanup(server.Close)
	join := func() *http.Response {
		response, err := http.Get(server.URL + "/v1/events")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { response.Body.Close() })
		return response
	}
	var all []*http.Response
	for range maxFollowers {
		all = append(all, join())
	}
	if last := join(); all[maxFollowers-1].StatusCode != http.StatusOK || last.StatusCode != http.StatusBadRequest {
		t.Fatalf("got %d, and %d beyond", all[maxFollowers-1].StatusCode, last.StatusCode)
	}
	all[0].Body.Close()
	for deadline := time.Now().Add(20 * time.Second); join().StatusCode != http.StatusOK; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody gets the place of one that has left")
		}
	}
}

// TestNoHelloWithoutDocker: a hello makes Nova show the hypervisor up.
func TestNoHelloWithoutDocker(t *testing.T) {
	engine := enginetest.New()
	engine.Fail["ContainerList"] = enginetest.ErrAway
	response, next := follow(t, t.Context(), engine)
	if response.StatusCode != http.StatusInternalServerError {
		t.Errorf("got %d %s", response.StatusCode, next())
	}
}
