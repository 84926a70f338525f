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

	plugin "github.com/docker/go-plugins-helpers/network"
	"golang.org/x/sync/errgroup"

	"ndock/docker/agent/config"
	"ndock/docker/network"
)

// Options are what the operator can choose.
type Options struct {
	Socket  string // of the agent's API
	Plugin  string // of the network plugin, where Docker looks for it
	Group   string // whose members may open Socket
	User    string // who is heard on it, beside root
	State   string // directory of what Docker cannot keep for servers
	Version string
	Config  string // the operator's file; none is none of his words
}

// PluginSocket is where Docker Engine looks for the network plugin.
const PluginSocket = "/run/docker/plugins/" + network.Driver + ".sock"

// StateDir is where the agent keeps what Docker cannot keep for servers: their config drives.
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
	plugins, err := Listen(options.Plugin, 0, []uint32{0}, log)
	if err != nil {
		return fmt.Errorf("listen for Docker: %w", err)
	}
	api, err := Listen(options.Socket, gid, []uint32{0, uid}, log)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for Nova: %w", err), plugins.Close())
	}
	log.Info("agent is ready", "version", options.Version, "socket", options.Socket)
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return ignoreClosed(plugin.NewHandler(network.NewPlugin(docker, log)).Serve(plugins))
	})
	group.Go(func() error {
		defer plugins.Close() // Docker's questions are answered until Nova's last request, which may need them, is done
		server := New(groupCtx, docker, options, log)
		server.rules = rules
		defer server.Wait()
		return serve(groupCtx, api, server.Handler())
	})
	err = group.Wait()
	log.Info("agent ends")
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
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
