package commands

import (
	"errors"
	"log/slog"
	"os"
	"syscall"

	"github.com/urfave/cli/v2"

	"ndock/docker"
	"ndock/docker/agent"
	"ndock/docker/agent/config"
	"ndock/docker/agent/server"
	"ndock/docker/engine"
	"ndock/docker/network"
	"ndock/docker/ociruntime"
)

func nodeAgentCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "agent",
		Usage: "Serve Nova on this compute node, as root, until told to end",
		Description: "The daemon that 'ndock node setup' makes a service of. It stays in the foreground, logs to stderr and ends\n" +
			"on SIGTERM when what it is doing is done.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "socket", TakesFile: true, Value: agent.Socket, Usage: "where Nova's driver reaches the agent"},
			&cli.StringFlag{Name: "state", TakesFile: true, Value: server.StateDir, Usage: "`DIRECTORY` of what servers have on this host beside their containers"},
			&cli.StringFlag{Name: "user", Value: "nova", Usage: "who nova-compute runs as: whose socket it is, and who is heard there, beside root"},
			&cli.StringFlag{Name: "config", TakesFile: true, Value: config.Path, Usage: "the operator's file: what servers get beyond their flavors"},
		},
		Action: func(c *cli.Context) error {
			if _, err := exactly(c); err != nil {
				return err
			}
			client, err := docker.Open()
			if err != nil {
				return err
			}
			defer client.Close()
			err = server.Run(c.Context, client, server.Options{
				Socket: c.String("socket"),
				State:  c.String("state"), User: c.String("user"), Version: version(),
				ConfigFile: c.String("config"), Namespaces: network.NetnsDir, Names: ociruntime.Names,
				Kernel: network.KernelAt("/proc"),
			}, newLog(c, s))
			if errors.Is(err, engine.ErrAPIChange) {
				return reexec()
			}
			return err
		},
	}
}

// reexec starts this process again: there may be nothing that would start another.
func reexec() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(program, os.Args, os.Environ())
}

// newLog is a daemon's log: on stderr, a line of key=value pairs an event.
func newLog(c *cli.Context, s Streams) *slog.Logger {
	level := slog.LevelInfo
	if c.Bool("debug") {
		level = slog.LevelDebug
	}
	options := &slog.HandlerOptions{Level: level}
	if c.String("log-format") == "json" {
		return slog.New(slog.NewJSONHandler(s.Err, options))
	}
	return slog.New(slog.NewTextHandler(s.Err, options))
}
