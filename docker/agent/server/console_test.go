package server

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"ndock/docker/agent"
)

func TestTail(t *testing.T) {
	for name, c := range map[string]struct {
		writes []string
		want   string
	}{
		"nothing":        {},
		"less":           {[]string{"abc"}, "abc"},
		"just enough":    {[]string{"abc", "de"}, "abcde"},
		"more":           {[]string{"abc", "def"}, "bcdef"},
		"much in one":    {[]string{"abcdefghij"}, "fghij"},
		"many small":     {strings.Split("abcdefghij", ""), "fghij"},
		"empty at times": {[]string{"", "abc", "", "def", ""}, "bcdef"},
	} {
		last := &tail{limit: 5}
		for _, text := range c.writes {
			if n, err := fmt.Fprint(last, text); n != len(text) || err != nil {
				t.Errorf("%s: wrote %d, %v", name, n, err)
			}
		}
		if got := last.kept.String(); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

const consolePath = "/v1/instances/" + serverID + "/console"

func TestConsole(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateExited)
	engine.logs = "\xffnot text\r\n"
	status, body := ask(t, engine, "GET", consolePath, "")
	if status != 200 || body != engine.logs {
		t.Errorf("got %d %q", status, body)
	}
}

// TestConsoleWithoutTTY: Docker sends both outputs in frames then, which are no output.
func TestConsoleWithoutTTY(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateExited)
	engine.containers[namePrefix+serverID].Config.Tty = false
	var framed bytes.Buffer
	fmt.Fprint(stdcopy.NewStdWriter(&framed, stdcopy.Stdout), "out\n")
	fmt.Fprint(stdcopy.NewStdWriter(&framed, stdcopy.Stderr), "err\n")
	engine.logs = framed.String()
	if status, body := ask(t, engine, "GET", consolePath, ""); status != 200 || body != "out\nerr\n" {
		t.Errorf("got %d %q", status, body)
	}
}

func TestConsoleIsBounded(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateRunning)
	engine.logs = strings.Repeat("a", consoleBytes) + "the end"
	_, body := ask(t, engine, "GET", consolePath, "")
	if len(body) != consoleBytes || !strings.HasSuffix(body, "the end") {
		t.Errorf("got %d bytes", len(body))
	}
	if calls := engine.called(); calls[len(calls)-1] != "ContainerLogs tail=all" {
		t.Errorf("lines are counted, where Nova does that: %q", calls)
	}
}

func TestConsoleFaults(t *testing.T) {
	engine := newEngine()
	status, body := ask(t, engine, "GET", consolePath, "")
	wantFault(t, status, body, 404, agent.NoSuchInstance)
	engine.putServer(container.StateRunning)
	engine.fail["ContainerLogs"] = errAway
	status, body = ask(t, engine, "GET", consolePath, "")
	wantFault(t, status, body, 500, agent.Failed)
}

func TestEnding(t *testing.T) {
	const at, never = "2026-11-25T06:00:00.5Z", "0001-01-01T00:00:00Z"
	for want, state := range map[string]container.State{
		"": {Status: container.StateCreated, FinishedAt: never},
		"\r\n[ndock] the process ended with status 1 at 2026-11-25T06:00:00Z\r\n":                  {ExitCode: 1, FinishedAt: at},
		"\r\n[ndock] the process ended with status 137 at 2026-11-25T06:00:00Z: out of memory\r\n": {ExitCode: 137, OOMKilled: true, FinishedAt: at},
		"\r\n[ndock] the process ended with status 0 at 2026-11-25T06:00:00Z\r\n":                  {OOMKilled: true, FinishedAt: at}, // a child of it was, some day
		"\r\n[ndock] the process ended with status 137 at 2026-11-25T06:00:00Z\r\n":                {ExitCode: 137, FinishedAt: at},
	} {
		if got := ending(&state); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := ending(&container.State{Running: true, FinishedAt: at}); got != "" {
		t.Errorf("of one that runs again: %q", got)
	}
}
