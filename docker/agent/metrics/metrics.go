// Package metrics tells Prometheus how the agent, its servers and its host are. It is off until the operator names an address.
// It counts what the agent is asked to do, and looks at everything else when it is scraped, in parts: each has a time limit, and
// one that fails or hangs does not take the others along.
package metrics

import (
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"ndock/docker/agent/imagecache"
	"ndock/docker/agent/instance"
	"ndock/docker/engine"
)

// Sources are what is told of.
type Sources struct {
	Version     string // the agent's
	Engine      engine.Daemon
	Instances   *instance.Instances
	Images      *imagecache.Cache
	LastFailure func() time.Time // of a request; zero for none
}

// Metrics is what Prometheus is told.
type Metrics struct {
	page     *page
	requests *prometheus.HistogramVec
	engine   engine.Daemon
	log      *slog.Logger
}

// New returns the metrics of an agent.
func New(of Sources, log *slog.Logger) *Metrics {
	registry := prometheus.NewRegistry()
	m := &Metrics{
		page: &page{from: registry, log: log},
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "ndock_agent_request_duration_seconds",
			Help:    "How long requests to the agent took, by verb and outcome: done, refused (the request's own fault) or failed (this host's).",
			Buckets: []float64{.005, .025, .1, .5, 1, 5, 30, 120, 600},
		}, []string{"verb", "outcome"}),
		engine: of.Engine,
		log:    log,
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "ndock_build_info", Help: "Always 1; the labels say which agent this is.",
		ConstLabels: prometheus.Labels{"version": text(of.Version), "goversion": runtime.Version()},
	})
	build.Set(1)
	registry.MustRegister(m.requests, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newScraper(partsOf(of), log))
	return m
}

// The outcomes of requests.
const (
	Done    = "done"
	Refused = "refused" // because of what was asked
	Failed  = "failed"  // because of this host
)

// Request counts a request. A verb is a route's pattern, of which there are few, and not the path, which has ids.
func (m *Metrics) Request(verb, outcome string, took time.Duration) {
	m.requests.WithLabelValues(verb, outcome).Observe(took.Seconds())
}
