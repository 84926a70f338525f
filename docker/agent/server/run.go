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
)

// Options are what the operator can choose.
type Options struct {
	Socket  string // of the agent's API
	Group   string // whose members may open Socket
	User    string // who is heard on it, beside root
	State   string // directory of what Docker cannot keep for servers
	Holders string // where the networks of running containers are kept
	Version string
	Config  string // the operator's file; none is none of his words
}

// StateDir is where the agent keeps what Docker cannot keep for servers: their ports, the names they know, their config drives.
const StateDir = "/var/lib/ndock/servers"

// drain is how long requests under way may take after the agent was told to end; an image's load is given up then.
const drain = 20 * time.Second

// Run serves until ctx is done, and then ends what it is doing.
func Run(ctx context.Context, docker Docker, options Options, log *slog.Logger) error {
	gid, uid, err := nova(options)
	if err != nil {
		return err
	}
	rules := config.Default()
	if options.Config != "" {
		if rules, err = config.Load(options.Config); err != nil {
			return fmt.Errorf("read the operator's file: %w", err)
		}
	}
	api, err := Listen(options.Socket, gid, []uint32{0, uid}, log)
	if err != nil {
		return fmt.Errorf("listen for Nova: %w", err)
	}
	log.Info("agent is ready", "version", options.Version, "socket", options.Socket)
	server := New(ctx, docker, options, log)
	server.rules = rules
	go server.introduce(ctx)
	go server.tidy(ctx)
	err = serve(ctx, api, server.Handler())
	server.Wait()
	log.Info("agent ends")
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

// nova finds the ids of the group and the user that the agent serves.
func nova(options Options) (gid int, uid uint32, err error) {
	group, err := user.LookupGroup(options.Group)
	if err != nil {
		return 0, 0, fmt.Errorf("the agent serves Nova, which is not installed here: %w", err)
	}
	account, err := user.Lookup(options.User)
	if err != nil {
		return 0, 0, fmt.Errorf("the agent serves Nova, which is not installed here: %w", err)
	}
	if gid, err = strconv.Atoi(group.Gid); err != nil {
		return 0, 0, err
	}
	parsed, err := strconv.ParseUint(account.Uid, 10, 32)
	return gid, uint32(parsed), err
}
