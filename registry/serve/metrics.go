package serve

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/felixge/httpsnoop"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ndock/docker/transfer"
	"ndock/registry/config"
)

// metrics count what one registry does. Distribution's and Go's are those of the process.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	sent     prometheus.Counter
	received prometheus.Counter
	uploads  prometheus.Gauge
}

func newMetrics() *metrics {
	registry := prometheus.NewRegistry()
	make := promauto.With(registry)
	return &metrics{
		registry: registry,
		requests: make.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ndock_registry_request_duration_seconds", Help: "How long requests took, by method and status.",
			Buckets: []float64{.005, .025, .1, .5, 1, 5, 30, 120, 600},
		}, []string{"method", "status"}),
		sent:     make.NewCounter(prometheus.CounterOpts{Name: "ndock_registry_sent_bytes_total", Help: "Bytes of answers' bodies."}),
		received: make.NewCounter(prometheus.CounterOpts{Name: "ndock_registry_received_bytes_total", Help: "Bytes of requests' bodies."}),
		uploads:  make.NewGauge(prometheus.GaugeOpts{Name: "ndock_registry_uploads", Help: "Requests under way that bring bytes of a layer."}),
	}
}

func (m *metrics) wrap(prefix string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 && stores(r) && parseRoute(prefix, r.URL.Path).kind == "uploads" {
			m.uploads.Inc()
			defer m.uploads.Dec()
		}
		r.Body = &countedBody{r.Body, m.received}
		done := httpsnoop.CaptureMetrics(next, w, r)
		m.requests.WithLabelValues(knownMethod(r.Method), strconv.Itoa(done.Code)).Observe(done.Duration.Seconds())
		m.sent.Add(float64(done.Written))
	})
}

// knownMethod keeps clients from inventing labels.
func knownMethod(method string) string {
	known := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	if slices.Contains(known, method) {
		return method
	}
	return "other"
}

// countedBody counts the bytes that are read of a body.
type countedBody struct {
	io.ReadCloser
	bytes prometheus.Counter
}

// Read implements io.Reader.
func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes.Add(float64(n))
	return n, err
}

// serveMetrics serves metrics and health on an address of their own. The returned function ends that.
func serveMetrics(ctx context.Context, o config.Options, m *metrics, h *health) (func(), error) {
	if o.Metrics == "" {
		return func() {}, nil
	}
	listener, err := config.Listen(ctx, o.Metrics)
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{m.registry, prometheus.DefaultGatherer}, promhttp.HandlerOpts{}))
	mux.Handle("GET /healthz", h)
	server := newServer(mux, o.Timeouts, o.Log)
	go server.Serve(transfer.LimitConnections(listener, maxMetricsConnections, maxMetricsPerClient, o.Log)) // until it is closed
	if o.Listening != nil {
		o.Listening("metrics and health", "http://"+listener.Addr().String())
	}
	return func() { server.Close() }, nil
}
