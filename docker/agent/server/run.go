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

	"ndock/docker/agent/config"
	"ndock/docker/network"
)

// Options are what the operator can choose.
type Options struct {
	Socket  string // of the agent's API
	User    string // who is heard on it, beside root: a name or a number
	State   string // directory of what Docker cannot keep for servers
	Holders string // where the networks of running containers are kept
	Names   string // where their copies of /etc/hosts and its like are
	Version string
	Config  string // the operator's file; none is none of his words
	Kernel  network.Kernel
}

// StateDir is where the agent keeps what Docker cannot keep for servers: their ports, the names they know, their config drives.
const StateDir = "/var/lib/ndock/servers"

// drain is how long requests under way may take after the agent was told to end; an image's load is given up then.
const drain = 20 * time.Second

// Run serves until ctx is done, and then ends what it is doing. ErrOtherEngine says that it must be begun anew.
func Run(ctx context.Context, docker Docker, options Options, log *slog.Logger) error {
	uid, gid, err := account(options.User)
	if err != nil {
		return err
	}
	rules := config.Default()
	if options.Config != "" {
		if rules, err = config.Load(options.Config); err != nil {
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
	server := New(ctx, docker, options, log)
	server.rules, server.unfit = rules, func() { end(ErrOtherEngine) }
	go server.introduce(ctx)
	go server.keepThawed(ctx)
	go server.tidy(ctx)
	err = serve(ctx, api, server.Handler())
	server.Wait()
	log.Info("agent ends", "reason", context.Cause(ctx))
	if errors.Is(context.Cause(ctx), ErrOtherEngine) {
		return errors.Join(ErrOtherEngine, err)
	}
	return err
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
	grace, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(fmt.Errorf("requests were still under way after %s", drain), server.Close())
	}
	return nil
}

// account finds the ids of the user that the agent serves. One that is known in a container only has but its number.
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
