package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/docker/docker/api/types"
	"golang.org/x/sync/singleflight"

	"ndock/docker/transfer"
)

// What a client may take of the agent.
const (
	maxConnections = 64
	maxPerClient   = 8
	maxHeader      = 16 << 10 // bytes
)

// How long it may take.
const (
	headerLimit = 5 * time.Second
	writeLimit  = answerLimit + 5*time.Second // from the request on
	idleLimit   = 2 * time.Minute             // between two scrapes
	healthLimit = 5 * time.Second
	retryEvery  = 5 * time.Second // where the address is not to be had
)

// Serve serves /metrics and /healthz at an address until the context ends. Servers need no metrics: an address that is not to
// be had, as while a network comes up, is tried again.
func (m *Metrics) Serve(ctx context.Context, address string) {
	for ctx.Err() == nil {
		err := m.serve(ctx, address)
		if ctx.Err() != nil {
			return
		}
		m.log.Error("metrics are not served", "address", address, "reason", err)
		select {
		case <-ctx.Done():
		case <-time.After(retryEvery):
		}
	}
}

func (m *Metrics) serve(ctx context.Context, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for Prometheus: %w", err)
	}
	server := &http.Server{
		Handler:           m.Handler(),
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: headerLimit,
		ReadTimeout:       headerLimit,
		WriteTimeout:      writeLimit,
		IdleTimeout:       idleLimit,
		ErrorLog:          slog.NewLogLogger(m.log.Handler(), slog.LevelWarn),
	}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	m.log.Info("metrics are served", "address", listener.Addr().String())
	return server.Serve(transfer.LimitConnections(listener, maxConnections, maxPerClient, m.log))
}

// Handler answers GET /metrics and GET /healthz.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.page)
	mux.Handle("GET /healthz", &health{ask: m.engine.ServerVersion})
	return mux
}

// health is whether servers can be made and started here.
type health struct {
	ask    func(context.Context) (types.Version, error)
	asking singleflight.Group // the engine, which may hang
}

// ServeHTTP implements http.Handler. It answers 200, or 503 with the reason.
func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err := h.check(r.Context()); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "Docker Engine:", err)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (h *health) check(ctx context.Context) error {
	answer := h.asking.DoChan("", func() (any, error) {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthLimit)
		defer cancel()
		return h.ask(limited)
	})
	select {
	case result := <-answer:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}
