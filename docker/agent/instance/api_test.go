package instance_test

import (
	"path/filepath"
	"testing"

	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/agent/diskspace"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/runtimes"
	"ndock/docker/agent/server"
	"ndock/docker/engine"
)

// newServer is an agent over this engine.
func newServer(t *testing.T, docker engine.Docker, options server.Options) *server.Server {
	t.Helper()
	if options.Choices == "" {
		options.Choices = filepath.Join(options.State, "runtimes")
	}
	return server.New(t.Context(), docker, options, config.Default(), agenttest.Quiet())
}

// ask sends a request to an agent over this engine and returns its status and body.
func ask(t *testing.T, docker engine.Docker, method, path, body string) (int, string) {
	t.Helper()
	return askServer(t, newServer(t, docker, server.Options{Version: "1.0", State: agenttest.StateOf(t, docker)}), method, path, body)
}

// askServer asks as Nova does: before a server is created, its ports are plugged, be it none.
func askServer(t *testing.T, s *server.Server, method, path, body string) (int, string) {
	t.Helper()
	if method == "PUT" && path == agenttest.ServerPath {
		agenttest.Ask(t, s.Handler(), method, path+"/ports", "[]")
	}
	return agenttest.Ask(t, s.Handler(), method, path, body)
}

// newInstances are the servers of this engine, without an agent's API.
func newInstances(docker engine.Docker, options instance.Options) *instance.Instances {
	options.Config, options.Choices = config.Default(), filepath.Join(options.State, "runtimes")
	options.Runtimes, options.Space = runtimes.New(options.Config), diskspace.New(0)
	return instance.New(engine.WithDeadlines(docker), options, agenttest.Quiet())
}
