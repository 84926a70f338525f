package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/network"
)

// diagnostics tells how the server's container does, and how its last run ended.
func (s *Server) diagnostics(_ http.ResponseWriter, r *http.Request) (any, error) {
	found, err := s.find(r.Context(), r.PathValue("uuid"))
	if err != nil {
		return nil, err
	}
	report := agent.Diagnostics{
		State: state(found.State.Status), ExitCode: found.State.ExitCode, OOMKilled: outOfMemory(found.State), Error: found.State.Error,
		StartedAt: moment(found.State.StartedAt), FinishedAt: moment(found.State.FinishedAt), NICs: []agent.NIC{},
	}
	if found.State.Health != nil {
		report.Health = string(found.State.Health.Status)
	}
	if !found.State.Running {
		return report, nil
	}
	up := int(time.Since(report.StartedAt).Seconds())
	report.Uptime = &up
	answer, err := s.docker.ContainerStatsOneShot(r.Context(), found.ID)
	if err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	defer answer.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(answer.Body).Decode(&stats); err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	measured(&report, stats)
	report.NICs, err = nics(found)
	return report, err
}

func measured(report *agent.Diagnostics, stats container.StatsResponse) {
	report.CPUTime = stats.CPUStats.CPUUsage.TotalUsage
	report.MemoryUsed, report.MemoryLimit = stats.MemoryStats.Usage, stats.MemoryStats.Limit
	report.Processes = stats.PidsStats.Current
}

func nics(found container.InspectResponse) ([]agent.NIC, error) {
	all := []agent.NIC{}
	traffic, err := network.Statistics(network.Holder(found.ID))
	for _, n := range traffic {
		all = append(all, agent.NIC{
			Name: n.Name, MAC: n.MAC,
			RxBytes: n.RxBytes, RxPackets: n.RxPackets, RxErrors: n.RxErrors, RxDropped: n.RxDropped,
			TxBytes: n.TxBytes, TxPackets: n.TxPackets, TxErrors: n.TxErrors, TxDropped: n.TxDropped,
		})
	}
	return all, err
}

// moment reads Docker's time, the zero of which is for what has not happened.
func moment(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return at
}
