package metrics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"ndock/docker/agent"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
)

const (
	serversShown     = 1024 // the most that have metrics of their own
	measuredAtOnce   = 8    // servers
	failuresReported = 3    // in the log, for each scrape
)

// serverLabels are of the metrics of one server.
func serverLabels() []string { return []string{"uuid", "project", "name"} }

// serverMetric is one of the metrics that each running server has.
type serverMetric struct {
	of    *prometheus.Desc
	kind  prometheus.ValueType
	value func(instance.Usage) float64
}

// serverMetrics are all of them.
func serverMetrics() []serverMetric {
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	var all []serverMetric
	add := func(name string, kind prometheus.ValueType, help string, value func(u instance.Usage) float64) {
		all = append(all, serverMetric{describe("ndock_server_"+name, help, serverLabels()...), kind, value})
	}
	add("cpu_seconds_total", counter, "CPU time of a server since it was started.", func(u instance.Usage) float64 { return u.CPU.Seconds() })
	add("memory_used_bytes", gauge, "Memory of a server, without copies of files that were not used of late.", func(u instance.Usage) float64 { return float64(u.MemoryUsed) })
	add("memory_limit_bytes", gauge, "The most memory that a server can have.", func(u instance.Usage) float64 { return float64(u.MemoryLimit) })
	add("processes", gauge, "Processes and threads of a server.", func(u instance.Usage) float64 { return float64(u.Processes) })
	add("block_read_bytes_total", counter, "Bytes that a server has read from block devices.", func(u instance.Usage) float64 { return float64(u.BlockRead) })
	add("block_written_bytes_total", counter, "Bytes that a server has written to block devices.", func(u instance.Usage) float64 { return float64(u.BlockWritten) })
	for _, counted := range []struct {
		name, help string
		value      func(agent.NIC) uint64
	}{
		{"receive_bytes", "Bytes that a server has received through its ports.", func(n agent.NIC) uint64 { return n.RxBytes }},
		{"receive_packets", "Packets that a server has received.", func(n agent.NIC) uint64 { return n.RxPackets }},
		{"receive_errors", "Errors while a server received.", func(n agent.NIC) uint64 { return n.RxErrors }},
		{"receive_drops", "Packets to a server that were dropped.", func(n agent.NIC) uint64 { return n.RxDropped }},
		{"transmit_bytes", "Bytes that a server has sent through its ports.", func(n agent.NIC) uint64 { return n.TxBytes }},
		{"transmit_packets", "Packets that a server has sent.", func(n agent.NIC) uint64 { return n.TxPackets }},
		{"transmit_errors", "Errors while a server sent.", func(n agent.NIC) uint64 { return n.TxErrors }},
		{"transmit_drops", "Packets of a server that were dropped.", func(n agent.NIC) uint64 { return n.TxDropped }},
	} {
		add("network_"+counted.name+"_total", counter, counted.help, func(u instance.Usage) float64 { return float64(counted.value(u.Network)) })
	}
	return all
}

// serversPart tells of servers.
type serversPart struct {
	instances  *instance.Instances
	metrics    []serverMetric
	states     *prometheus.Desc
	omitted    *prometheus.Desc
	unmeasured *prometheus.Desc
}

func newServersPart(instances *instance.Instances) *part {
	s := &serversPart{
		instances:  instances,
		metrics:    serverMetrics(),
		states:     describe("ndock_servers", "Servers on this host by the state of their containers.", "state"),
		omitted:    describe("ndock_scrape_servers_omitted", fmt.Sprintf("Running servers beyond %d, which have no metrics of their own.", serversShown)),
		unmeasured: describe("ndock_scrape_servers_unmeasured", "Running servers that could not be measured, or not in time."),
	}
	return &part{name: "servers", collect: s.collect}
}

// collect sends what is known of servers when the context ends.
func (s *serversPart) collect(ctx context.Context, send send) error {
	servers, err := s.instances.Containers.List(ctx)
	if err != nil {
		return err
	}
	s.countStates(servers, send)
	running := slices.DeleteFunc(servers, func(one agent.Instance) bool {
		return one.State != agent.Running && one.State != agent.Paused || !naming.IsUUID(one.UUID)
	})
	slices.SortFunc(running, func(a, b agent.Instance) int { return cmp.Compare(a.UUID, b.UUID) }) // so that each scrape shows the same
	shown := running[:min(len(running), serversShown)]
	send(gauge(s.omitted, float64(len(running)-len(shown))))
	found := s.measure(ctx, shown)
	failed := s.sendUsage(shown, found, send)
	send(gauge(s.unmeasured, float64(len(failed))))
	if len(failed) > 0 {
		return fmt.Errorf("%d servers were not measured: %w", len(failed), errors.Join(failed[:min(len(failed), failuresReported)]...))
	}
	return nil
}

func (s *serversPart) countStates(servers []agent.Instance, send send) {
	counts := map[agent.State]int{}
	for _, one := range servers {
		counts[one.State]++
	}
	for _, state := range []agent.State{agent.Running, agent.Paused, agent.Stopped, agent.Crashed} {
		send(gauge(s.states, float64(counts[state]), string(state)))
	}
}

// measured is the usage of one server.
type measured struct {
	instance.Usage
	err error
}

// measure asks for the usage of some servers at a time. When the context ends, the rest is not asked for.
func (s *serversPart) measure(ctx context.Context, servers []agent.Instance) []measured {
	all := make([]measured, len(servers))
	var group errgroup.Group
	group.SetLimit(measuredAtOnce)
	for n, one := range servers {
		group.Go(func() error {
			if all[n].err = ctx.Err(); all[n].err == nil {
				all[n].Usage, all[n].err = s.instances.Reports.Usage(ctx, one)
			}
			return nil
		})
	}
	_ = group.Wait() // each has its error
	return all
}

// sendUsage sends what was measured, and returns why other servers were not. Of one that has ended meanwhile the engine knows
// nothing, or says that it has used no CPU time, as no server that runs has: that is no failure.
func (s *serversPart) sendUsage(servers []agent.Instance, found []measured, send send) (failed []error) {
	for n, one := range servers {
		switch {
		case errdefs.IsNotFound(found[n].err):
		case found[n].err != nil:
			failed = append(failed, found[n].err)
		case found[n].CPU > 0:
			for _, metric := range s.metrics {
				send(valueOf(metric.of, metric.kind, metric.value(found[n].Usage), []string{one.UUID, text(one.ProjectID), text(one.Name)}))
			}
		}
	}
	return failed
}
