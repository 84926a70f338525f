// Package server is the HTTP side of ndock's agent, the daemon on a compute node that turns Nova's servers into containers:
// it listens, reads requests, has the other packages of the agent do what they ask, and answers. It offers the verbs of a
// hypervisor and no more.
package server

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"ndock/docker/agent"
	"ndock/docker/agent/config"
	"ndock/docker/agent/console"
	"ndock/docker/agent/diskspace"
	"ndock/docker/agent/hostinfo"
	"ndock/docker/agent/imagecache"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/metrics"
	"ndock/docker/agent/runtimes"
	"ndock/docker/engine"
	"ndock/docker/network"
)

// Server answers the agent's API.
type Server struct {
	engine    engine.Docker
	instances *instance.Instances
	images    *imagecache.Cache
	consoles  *console.Consoles
	host      *hostinfo.Host
	runtimes  *runtimes.Runtimes
	metrics   *metrics.Metrics

	version     string
	kernel      network.Kernel
	log         *slog.Logger
	closing     context.Context
	failure     atomic.Pointer[agent.Failure] // the last one
	followers   atomic.Int32                  // of the events
	onAPIChange func()                        // is called when the engine was replaced by one of another API
}

// New returns an agent. When closing is done, consoles end, and long answers such as the events.
func New(closing context.Context, docker engine.Docker, options Options, operators config.Config, log *slog.Logger) *Server {
	docker = engine.WithDeadlines(docker)
	runtimes := runtimes.New(operators)
	space := diskspace.New(operators.ImageReserveGB << 30)
	instances := instance.New(docker, instance.Options{
		State: options.State, Namespaces: options.Namespaces, Names: options.Names, Choices: options.Choices, Marks: options.Marks,
		Runtimes: runtimes, Config: operators, Kernel: options.Kernel, Specs: options.Specs, Space: space,
	}, log)
	s := &Server{
		engine: docker, instances: instances,
		images:   imagecache.New(docker, filepath.Join(filepath.Dir(options.State), "layers"), operators, space, log),
		consoles: console.New(closing, docker, instances.Containers.Find, log),
		host:     hostinfo.New(closing, docker, options.Kernel, instances.Devices, log),
		runtimes: runtimes,
		version:  options.Version, kernel: options.Kernel, log: log, closing: closing, onAPIChange: func() {},
	}
	s.metrics = metrics.New(metrics.Sources{Version: s.version, Engine: docker, Instances: instances, Images: s.images, LastFailure: s.failedAt}, log)
	return s
}

// How long a request may take that moves files, or removes a server's containers, two of them at most.
const (
	longTimeout   = time.Hour
	removeTimeout = 25 * time.Minute
	startTimeout  = 4 * time.Minute // more than Docker Engine has for it, so that it hears why another runtime did not start
)

// Handler is the agent's API.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, limit time.Duration, handler handler) {
		mux.Handle(pattern, s.answering(limit, handler))
	}
	const short, long, remove, start = agent.ShortTimeout, longTimeout, removeTimeout, startTimeout
	handle("GET /v1/version", short, get(s.getVersion))
	handle("GET /v1/host", short, get(s.getHost))
	handle("GET /v1/events", 0, s.getEvents)
	handle("GET /v1/orphans", short, get(s.instances.Orphans.List))
	handle("DELETE /v1/orphans", short, get(s.instances.Orphans.Remove))
	handle("DELETE /v1/images", long, s.pruneImages)
	handle("DELETE /v1/images/{id}", short, s.deleteImage)
	handle("GET /v1/images/{id}", short, s.getImage)
	handle("PUT /v1/images/{id}", long, s.putImage)
	handle("POST /v1/images/{id}/layers", short, s.neededLayers)
	handle("GET /v1/servers", short, get(s.instances.Containers.IDs))
	handle("GET /v1/instances", short, get(s.instances.Containers.List))
	handle("GET /v1/instances/{uuid}", short, getOf(s.instances.Containers.Get))
	handle("PUT /v1/instances/{uuid}", long, verbWith(s.instances.Creator.Create))
	handle("PUT /v1/instances/{uuid}/devices", short, s.reserveDevices)
	handle("DELETE /v1/instances/{uuid}", remove, s.deleteInstance)
	handle("POST /v1/instances/{uuid}/start", start, verb(s.instances.Power.Start))
	handle("POST /v1/instances/{uuid}/stop", long, stopVerb(s.instances.Power.Stop))
	handle("POST /v1/instances/{uuid}/restart", long, s.restart)
	handle("POST /v1/instances/{uuid}/pause", short, verb(s.instances.Power.Pause))
	handle("POST /v1/instances/{uuid}/unpause", short, verb(s.instances.Power.Unpause))
	handle("POST /v1/instances/{uuid}/aside", long, stopVerb(s.instances.Backups.Create))
	handle("DELETE /v1/instances/{uuid}/aside", remove, verbWith(s.instances.Backups.Discard))
	handle("POST /v1/instances/{uuid}/restore", remove, verb(s.instances.Backups.Restore))
	handle("PUT /v1/instances/{uuid}/password", short, verbWith(s.instances.Passwords.Set))
	handle("GET /v1/instances/{uuid}/diagnostics", short, getOf(s.instances.Reports.Diagnostics))
	handle("POST /v1/instances/{uuid}/snapshot", long, s.snapshot)
	handle("POST /v1/instances/{uuid}/commit", long, s.holdCommit)
	handle("GET /v1/commits/{id}/layers/{diffID}", long, s.commitLayer)
	handle("GET /v1/commits/{id}/archive", long, s.wholeCommit)
	handle("POST /v1/commits/{id}/archive", long, s.layeredCommit)
	handle("GET /v1/instances/{uuid}/console", short, s.getConsole)
	handle("POST /v1/instances/{uuid}/serial", short, s.postSerial)
	handle("GET /v1/instances/{uuid}/ports", short, getOf(s.instances.Ports.IDs))
	handle("PUT /v1/instances/{uuid}/ports", short, verbWith(s.instances.Ports.Plug))
	handle("DELETE /v1/instances/{uuid}/ports", short, verbWith(s.instances.Ports.Unplug))
	handle("PUT /v1/instances/{uuid}/ports/{port}", short, s.attachPort)
	handle("DELETE /v1/instances/{uuid}/ports/{port}", short, s.detachPort)
	return mux
}

// handler answers a request, or returns why it cannot. It may write the answer itself, and then returns nil, nil.
type handler func(w http.ResponseWriter, r *http.Request) (answer any, err error)

// answering is a handler with a time limit, whose answers are written and logged.
func (s *Server) answering(limit time.Duration, handle handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started, outcome := time.Now(), metrics.Failed // where it breaks off
		if limit > 0 {                                 // others last as long as their caller
			defer func() { s.metrics.Request(r.Pattern, outcome, time.Since(started)) }()
			ctx, cancel := context.WithTimeout(r.Context(), limit)
			defer cancel()
			defer context.AfterFunc(ctx, func() { _ = http.NewResponseController(w).SetReadDeadline(time.Now()) })() // no context ends the reading of a body
			r = r.WithContext(ctx)
		}
		answer, err := handle(w, r)
		outcome = outcomeOf(err)
		if engine.IsAPIChange(err) {
			s.onAPIChange()
		}
		log := s.log.With("request", r.Method+" "+r.URL.Path, "ms", time.Since(started).Milliseconds())
		if err != nil {
			log.Log(r.Context(), levelOf(err), "refused", "reason", err)
			s.recordFailure(r, err)
			writeFault(w, err)
			return
		}
		if r.Method == http.MethodGet {
			log.Debug("answered")
		} else {
			log.Info("done")
		}
		if answer != nil {
			writeJSON(w, http.StatusOK, answer)
		}
	})
}

// levelOf is Error for what failed on this host, and Info for an answer like "no such server".
func levelOf(err error) slog.Level {
	if fault(err).Code == agent.Failed {
		return slog.LevelError
	}
	return slog.LevelInfo
}

// outcomeOf is how the metrics call it.
func outcomeOf(err error) string {
	switch {
	case err == nil:
		return metrics.Done
	case levelOf(err) == slog.LevelError:
		return metrics.Failed
	}
	return metrics.Refused
}

// failedAt is when a request failed last, or zero.
func (s *Server) failedAt() time.Time {
	if last := s.failure.Load(); last != nil {
		return last.At
	}
	return time.Time{}
}

// recordFailure keeps the last failure for 'ndock node status'.
func (s *Server) recordFailure(r *http.Request, err error) {
	if levelOf(err) == slog.LevelError {
		s.failure.Store(&agent.Failure{At: time.Now().UTC(), Request: r.Method + " " + r.URL.Path, Reason: err.Error()})
	}
}

// getHost returns what this machine can give to servers, and the runtimes that work on it.
func (s *Server) getHost(ctx context.Context) (agent.Host, error) {
	host, err := s.host.Report(ctx)
	names, lacks := s.runtimes.Usable()
	host.Runtimes, host.Lacks = names, append(host.Lacks, lacks...)
	return host, err
}

func (s *Server) getVersion(ctx context.Context) (agent.Version, error) {
	docker, err := s.engine.ServerVersion(ctx)
	return agent.Version{Agent: s.version, Engine: docker.Version, API: docker.APIVersion, LastFailure: s.failure.Load()}, err
}
