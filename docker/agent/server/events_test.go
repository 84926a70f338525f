package server

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/docker/docker/api/types/events"

	"ndock/docker/agent"
)

func message(action events.Action, name, label string) events.Message {
	return events.Message{Action: action, Actor: events.Actor{Attributes: map[string]string{"name": name, labelServer: label}}}
}

func TestTranslate(t *testing.T) {
	ours := namePrefix + serverID
	for name, c := range map[string]struct {
		message events.Message
		want    string // nothing: Nova is not told
	}{
		"start":                  {message(events.ActionStart, ours, serverID), "started"},
		"die":                    {message(events.ActionDie, ours, serverID), "stopped"},
		"pause":                  {message(events.ActionPause, ours, serverID), "paused"},
		"unpause":                {message(events.ActionUnPause, ours, serverID), "resumed"},
		"kill":                   {message(events.ActionKill, ours, serverID), ""},
		"create":                 {message(events.ActionCreate, ours, serverID), ""},
		"label of an image":      {message(events.ActionDie, "eager_euler", serverID), ""},
		"label of another":       {message(events.ActionDie, ours, "another"), ""},
		"name without ndock-":    {message(events.ActionDie, serverID, serverID), ""},
		"no label, no name":      {message(events.ActionDie, "", ""), ""},
		"nothing is known of it": {events.Message{Action: events.ActionDie}, ""},
	} {
		got, tell := translate(c.message)
		if tell != (c.want != "") || tell && (got != agent.Event{Event: c.want, UUID: serverID}) {
			t.Errorf("%s: got %+v, %t", name, got, tell)
		}
	}
}

// follow opens the events of an agent over this engine. next gives the next line, or "" when they have ended.
func follow(t *testing.T, closing context.Context, engine *engine) (response *http.Response, next func() string) {
	t.Helper()
	server := httptest.NewServer(New(closing, engine, Options{Version: "1.0", State: t.TempDir()}, quiet()).Handler())
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
	engine := newEngine()
	_, next := follow(t, t.Context(), engine)
	if got := next(); got != `{"event":"hello"}` {
		t.Fatalf("got %q first", got)
	}
	engine.happened <- message(events.ActionKill, namePrefix+serverID, serverID)
	engine.happened <- message(events.ActionDie, namePrefix+serverID, serverID)
	if got := next(); got != `{"event":"stopped","uuid":"`+serverID+`"}` {
		t.Errorf("got %q", got)
	}
	wantCalls(t, engine, "Events "+labelServer, "ContainerList")
}

func TestEventsEndWithDockers(t *testing.T) {
	engine := newEngine()
	_, next := follow(t, t.Context(), engine)
	next()
	engine.failed <- errors.New("the engine ends")
	if got := next(); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestEventsEndWithTheAgent(t *testing.T) {
	closing, end := context.WithCancel(t.Context())
	_, next := follow(t, closing, newEngine())
	next()
	end()
	if got := next(); got != "" {
		t.Errorf("got %q", got)
	}
}

// TestNoHelloWithoutDocker: a hello makes Nova show the hypervisor up.
func TestNoHelloWithoutDocker(t *testing.T) {
	engine := newEngine()
	engine.fail["ContainerList"] = errAway
	response, next := follow(t, t.Context(), engine)
	if response.StatusCode != http.StatusInternalServerError {
		t.Errorf("got %d %s", response.StatusCode, next())
	}
}
