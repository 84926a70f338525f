package agent

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestPorts: no more are read than a server may have, however many are named.
func TestPorts(t *testing.T) {
	many := func(n int) string { return "[" + strings.Repeat(`{"id":"a"},`, n-1) + `{"id":"b"}]` }
	for text, want := range map[string]int{"null": 0, "[]": 0, `[{"id":"a"}]`: 1, many(MaxPorts): MaxPorts, many(MaxPorts + 1): -1, `{"id":"a"}`: -1, `"a"`: -1, `[1]`: -1} {
		var ports Ports
		err := json.Unmarshal([]byte(text), &ports)
		if (err == nil) != (want >= 0) || err == nil && len(ports) != want || len(ports) > MaxPorts {
			t.Errorf("%.40s: got %d ports, %v", text, len(ports), err)
		}
	}
}
