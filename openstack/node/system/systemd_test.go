package system

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// shown is a systemd that says this of each unit, by property.
type shown map[string]string

func (s shown) Run(_ context.Context, command ...string) (string, error) {
	if command[0] != "systemctl" || command[1] != "show" {
		return "", fmt.Errorf("unexpected command %q", command)
	}
	return s[command[3]] + "\n", nil
}

func TestPhases(t *testing.T) {
	for state, want := range map[string]Phase{
		"running": Ready, "running 0": Ready, "running 17": Starting, "start": Starting, "start-pre": Starting, "stop-sigterm": Starting, "dead 17": Starting, "failed 17": Starting,
		"dead 0": Ended, "dead-resources-pinned 0": Ended, "dead ": Ended, "failed 0": Ended, "auto-restart 17": Ended, "auto-restart-queued 0": Ended, "failed-before-auto-restart 17": Ended,
	} {
		sub, job, _ := strings.Cut(state, " ")
		services := &systemd{"/", shown{"SubState": sub, "Job": job}}
		if got, err := services.Phase(t.Context(), Service{Name: "nova-compute"}); got != want || err != nil {
			t.Errorf("%s: got %v, %v", state, got, err)
		}
	}
}
