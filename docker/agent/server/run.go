package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/user"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/system"

	"ndock/docker/agent/config"
	"ndock/docker/engine"
	"ndock/docker/network"
)

// Options are what the operator can choose.
type Options struct {
	Socket     string // of the agent's API
	User       string // whose connections are accepted, beside root's: a name or a number
	State      string // directory of what Docker cannot keep for servers
	Namespaces string // directory of the networks of running containers
	Names      string // directory of their copies of /etc/hosts and its like
	Version    string // the agent's
	Choices    string // directory of which runtime servers' containers have
	Marks      string // directory of which of them ran out of memory
	ConfigFile string // the operator's; empty for none
	Kernel     network.Kernel
	Specs      []string // directories of CDI specifications
}

// StateDir is where the agent keeps what Docker cannot: servers' ports, the names they know, their config drives.
const StateDir = "/var/lib/ndock/servers"

// drainTimeout is how long requests under way may take after the agent was told to end. Longer ones, as an image's load, are
// aborted.
const drainTimeout = 20 * time.Second

// Run serves until ctx is done, and then finishes what is under way. After engine.ErrAPIChange the process must be started
// again.
func Run(ctx context.Context, docker engine.Docker, options Options, log *slog.Logger) error {
	uid, gid, err := account(options.User)
	if err != nil {
		return err
	}
	operators := config.Default()
	if options.ConfigFile != "" {
		if operators, err = config.Load(options.ConfigFile); err != nil {
			return fmt.Errorf("read the operator's file: %w", err)
		}
	}
	api, err := Listen(options.Socket, uid, gid, log)
	if err != nil {
		return fmt.Errorf("listen for Nova: %w", err)
	}
	log.Info("agent is ready", "version", options.Version, "socket", options.Socket)
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	server := New(ctx, docker, options, operators, log)
	server.onAPIChange = func() { end(engine.ErrAPIChange) }
	go server.logEngine(ctx)
	go server.instances.Pauses.Run(ctx)
	go server.instances.Orphans.Run(ctx)
	if operators.Metrics != "" {
		go server.metrics.Serve(ctx, operators.Metrics)
	}
	err = serve(ctx, api, server.Handler())
	server.consoles.Wait()
	log.Info("agent ends", "reason", context.Cause(ctx))
	if errors.Is(context.Cause(ctx), engine.ErrAPIChange) {
		return errors.Join(engine.ErrAPIChange, err)
	}
	return err
}

// logEngine logs which engine this is, once it answers, and what servers go without on it.
func (s *Server) logEngine(ctx context.Context) {
	_, lacks := s.runtimes.Usable()
	for _, lack := range append(lacks, s.kernel.Lacks()...) {
		s.log.Warn("this host lacks something", "what", lack)
	}
	for {
		version, err := s.engine.ServerVersion(ctx)
		if err == nil {
			var info system.Info
			if info, err = s.engine.Info(ctx); err == nil {
				s.log.Info("Docker Engine answers", "version", version.Version, "api", version.APIVersion, "storage", info.Driver)
				for _, lack := range engine.Lacks(version, info) {
					s.log.Warn("Docker Engine lacks something", "what", lack)
				}
				return
			}
		}
		s.log.Warn("Docker Engine does not answer", "reason", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(heartbeat):
		}
	}
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(fmt.Errorf("requests were still under way after %s", drainTimeout), server.Close())
	}
	<-done // it removes the socket
	return nil
}

// account returns the ids of the user that the agent serves. A user that is known in a container only has a number alone.
func account(name string) (uid, gid int, err error) {
	found, err := user.Lookup(name)
	if err != nil {
		if number, numeric := strconv.Atoi(name); numeric == nil {
			return number, number, nil
		}
		return 0, 0, fmt.Errorf("the agent serves Nova, which is not installed here: %w", err)
	}
	if uid, err = strconv.Atoi(found.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(found.Gid)
	return uid, gid, err
}
