package instance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
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

func TestEnding(t *testing.T) {
	const at, never = "2026-11-25T06:00:00.5Z", "0001-01-01T00:00:00Z"
	for want, c := range map[string]struct {
		state       container.State
		outOfMemory bool
	}{
		"": {state: container.State{Status: container.StateCreated, FinishedAt: never}},
		"\r\n[ndock] the process ended with status 1 at 2026-11-25T06:00:00Z\r\n":                  {state: container.State{ExitCode: 1, FinishedAt: at}},
		"\r\n[ndock] the process ended with status 137 at 2026-11-25T06:00:00Z: out of memory\r\n": {container.State{ExitCode: 137, FinishedAt: at}, true},
		"\r\n[ndock] the process ended with status 137 at 2026-11-25T06:00:00Z\r\n":                {state: container.State{ExitCode: 137, FinishedAt: at}},
	} {
		if got := ending(&c.state, c.outOfMemory); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := ending(&container.State{Running: true, FinishedAt: at}, false); got != "" {
		t.Errorf("of one that runs again: %q", got)
	}
}
