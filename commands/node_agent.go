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
			engine, err := docker.Open()
			if err != nil {
				return err
			}
			defer engine.Close()
			err = server.Run(c.Context, engine, server.Options{
				Socket: c.String("socket"),
				State:  c.String("state"), User: c.String("user"), Version: version(),
				Config: c.String("config"), Holders: network.Holders, Names: ociruntime.Names,
				Kernel: network.KernelAt("/proc"),
			}, newLog(c, s))
			if errors.Is(err, server.ErrOtherEngine) {
				return anew()
			}
			return err
		},
	}
}

// anew has this process begin again: there may be no one to start another.
func anew() error {
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
