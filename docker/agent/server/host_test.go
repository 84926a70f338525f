package server

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/engine/enginetest"
	"ndock/docker/network"
)

func TestGetHostWithoutDocker(t *testing.T) {
	engine := enginetest.New()
	engine.Fail["Info"] = enginetest.ErrAway
	status, body := ask(t, engine, "GET", "/v1/host", "")
	agenttest.WantFault(t, status, body, 500, agent.Failed)
}

func TestAHostWithoutIPv6(t *testing.T) {
	said := new(bytes.Buffer)
	options := Options{State: t.TempDir(), Kernel: network.Kernel{NoIPv6: true}}
	s := New(t.Context(), enginetest.New(), options, config.Default(), slog.New(slog.NewTextHandler(said, nil)))
	status, body := agenttest.Ask(t, s.Handler(), "GET", "/v1/host", "")
	agenttest.WantOK(t, status, body)
	var host agent.Host
	if err := json.Unmarshal([]byte(body), &host); err != nil || len(host.Lacks) != 1 || !strings.Contains(host.Lacks[0], "no IPv6") {
		t.Errorf("got %q, %v", host.Lacks, err)
	}
	s.logEngine(t.Context())
	if !strings.Contains(said.String(), "ipv6.disable=1") {
		t.Errorf("said %s", said)
	}
}
