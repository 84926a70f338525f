// Package server is ndock's agent: the daemon on a compute node that turns Nova's servers into containers. It
// alone speaks to Docker, and it offers the verbs of a hypervisor and no more. All that it must remember stands in
// labels of containers and in a directory for each server: it can be restarted at any moment.
package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"ndock/docker/agent"
	"ndock/docker/agent/config"
	"ndock/docker/network"
)

// Server answers the agent's API.
type Server struct {
	docker  Docker
	state   string // directory of what Docker cannot keep for servers
	version string
	log     *slog.Logger
	servers *locks // by server: its verbs do not overlap
	images  *locks // by Glance image: it is loaded once
	room    room   // for images
	serial  *serialPorts
	commits *commits
	closing context.Context
	failure atomic.Pointer[agent.Failure] // the last one
	unfit   func()                        // is called when the engine's API has changed under the agent
	rules   config.Config                 // the operator's
	disks   serverDisks
	foreign foreignMemories
	holders string // where the networks of running containers are kept
	names   string // where their copies of /etc/hosts and its like are
	kernel  network.Kernel
}

// New returns an agent of this version. When closing is done, long answers such as the events end, and consoles.
func New(closing context.Context, docker Docker, options Options, log *slog.Logger) *Server {
	s := &Server{
		docker: deadlines{docker}, state: options.State, version: options.Version, log: log,
		servers: newLocks(), images: newLocks(), closing: closing, unfit: func() {},
		rules: config.Default(), holders: options.Holders, names: options.Names,
		kernel:  options.Kernel,
		commits: newCommits(filepath.Join(filepath.Dir(options.State), "commits")),
	}
	s.serial = newSerialPorts(closing, s.serialSession, log)
	return s
}

// Wait returns when the consoles have ended, after closing is done.
func (s *Server) Wait() { s.serial.sessions.Wait() }

// How long a verb may take; transfers of images have limits of their own.
const (
	quick   = 50 * time.Second // less than the shim waits, so that it hears the reason
	removal = 25 * time.Minute // of a server's containers, two of them at most
	slow    = time.Hour
)

// Handler is the agent's API.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, limit time.Duration, handler handler) {
		mux.Handle(pattern, s.answering(limit, handler))
	}
	handle("GET /v1/version", quick, s.getVersion)
	handle("GET /v1/host", quick, s.getHost)
	handle("GET /v1/events", 0, s.getEvents)
	handle("GET /v1/servers", quick, s.getServers)
	handle("GET /v1/instances", quick, s.getInstances)
	handle("GET /v1/instances/{uuid}", quick, s.getInstance)
	handle("PUT /v1/instances/{uuid}", slow, s.putInstance)
	handle("DELETE /v1/instances/{uuid}", removal, s.deleteInstance)
	handle("POST /v1/instances/{uuid}/start", quick, s.start)
	handle("POST /v1/instances/{uuid}/stop", slow, s.stop)
	handle("POST /v1/instances/{uuid}/restart", slow, s.restart)
	handle("POST /v1/instances/{uuid}/pause", quick, s.pause)
	handle("POST /v1/instances/{uuid}/unpause", quick, s.unpause)
	handle("POST /v1/instances/{uuid}/aside", slow, s.setAside)
	handle("DELETE /v1/instances/{uuid}/aside", removal, s.discardAside)
	handle("POST /v1/instances/{uuid}/restore", removal, s.restore)
	handle("PUT /v1/instances/{uuid}/password", quick, s.putPassword)
	handle("GET /v1/instances/{uuid}/diagnostics", quick, s.diagnostics)
	handle("POST /v1/instances/{uuid}/snapshot", slow, s.snapshot)
	handle("GET /v1/instances/{uuid}/console", quick, s.console)
	handle("GET /v1/instances/{uuid}/ports", quick, s.getPorts)
	handle("POST /v1/instances/{uuid}/serial", quick, s.postSerial)
	handle("PUT /v1/instances/{uuid}/ports", quick, s.putPorts)
	handle("DELETE /v1/instances/{uuid}/ports", quick, s.deletePorts)
	handle("PUT /v1/instances/{uuid}/ports/{port}", quick, s.attachPort)
	handle("DELETE /v1/instances/{uuid}/ports/{port}", quick, s.detachPort)
	handle("GET /v1/orphans", quick, s.getOrphans)
	handle("DELETE /v1/orphans", quick, s.deleteOrphans)
	handle("DELETE /v1/images", slow, s.ageImages)
	handle("DELETE /v1/images/{id}", quick, s.deleteImage)
	handle("GET /v1/images/{id}", quick, s.getImage)
	handle("PUT /v1/images/{id}", slow, s.putImage)
	return mux
}

// handler answers a request, or returns why it cannot. It may write the answer itself, and then returns nil, nil.
type handler func(w http.ResponseWriter, r *http.Request) (answer any, err error)

func (s *Server) answering(limit time.Duration, handle handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		if limit > 0 {
			ctx, cancel := context.WithTimeout(r.Context(), limit)
			defer cancel()
			r = r.WithContext(ctx)
		}
		answer, err := handle(w, r)
		if otherAPI(err) {
			s.unfit()
		}
		log := s.log.With("request", r.Method+" "+r.URL.Path, "ms", time.Since(started).Milliseconds())
		if err != nil {
			log.Log(r.Context(), levelOf(err), "refused", "reason", err)
			s.note(r, err)
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

// levelOf tells what went wrong here from what the caller must hear: that there is no such server any more, say.
func levelOf(err error) slog.Level {
	if fault(err).Code == agent.Failed {
		return slog.LevelError
	}
	return slog.LevelInfo
}

// note keeps what an operator should know of, for `ndock node status`.
func (s *Server) note(r *http.Request, err error) {
	if levelOf(err) == slog.LevelError {
		s.failure.Store(&agent.Failure{At: time.Now().UTC(), Request: r.Method + " " + r.URL.Path, Reason: err.Error()})
	}
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the caller is gone: nobody is left to tell
}

func (s *Server) getVersion(_ http.ResponseWriter, r *http.Request) (any, error) {
	engine, err := s.docker.ServerVersion(r.Context())
	if err != nil {
		return nil, err
	}
	return agent.Version{Agent: s.version, Engine: engine.Version, API: engine.APIVersion, LastFailure: s.failure.Load()}, nil
}
