package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ndock/docker/agent/agenttest"
	"ndock/docker/engine/enginetest"
)

// TestRunRefusesAFileThatItCannotObey, rather than to give servers what the operator took from them.
func TestRunRefusesAFileThatItCannotObey(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("an agent runs as root")
	}
	path := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(path, []byte("no_new_privilege: true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	options := Options{Socket: socketPath(t), User: "root", ConfigFile: path}
	err := Run(t.Context(), enginetest.New(), options, agenttest.Quiet())
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "line 1: field no_new_privilege not found") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(options.Socket); err == nil {
		t.Error("it serves all the same")
	}
}
