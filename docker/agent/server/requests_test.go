package server

import (
	"net/http/httptest"
	"testing"
	"time"

	"ndock/docker/agent"
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
