package server

import (
	"testing"

	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/engine"
)

// newServer is an agent over this engine.
func newServer(t *testing.T, docker engine.Docker) *Server {
	t.Helper()
	return New(t.Context(), docker, Options{Version: "1.0", State: agenttest.StateOf(t, docker), Choices: t.TempDir()}, config.Default(), agenttest.Quiet())
}

// ask sends a request to an agent over this engine and returns its status and body.
func ask(t *testing.T, docker engine.Docker, method, path, body string) (int, string) {
	t.Helper()
	return agenttest.Ask(t, newServer(t, docker).Handler(), method, path, body)
}
