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
	"ndock/docker/agent/devices"
	"ndock/docker/agent/server"
	"ndock/docker/engine"
	"ndock/docker/network"
	"ndock/docker/ociruntime"
)

func nodeAgentCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "agent",
		Usage: "Run the agent of this compute node in the foreground",
		Description: "This is the daemon that 'ndock node setup' makes a service of. It needs root and logs to stderr. On SIGTERM it\n" +
			"finishes what it is doing and ends.\n\n" +
			examples(
				"ndock node agent",
				"ndock node agent --user nova --debug"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "socket", TakesFile: true, Value: agent.Socket, Usage: "`PATH` of the socket on which Nova's driver reaches the agent"},
			&cli.StringFlag{Name: "state", TakesFile: true, Value: server.StateDir, Usage: "`DIRECTORY` for what servers have on this host beside their containers"},
			&cli.StringFlag{Name: "user", Value: "nova", Usage: "`USER` that nova-compute runs as, who may use the socket, beside root"},
			&cli.StringFlag{Name: "config", TakesFile: true, Value: config.Path, Usage: "`PATH` of the operator's file, which says what servers get beyond their flavors"},
		},
		Action: func(c *cli.Context) error { return nodeAgent(c, s) },
	}
}

func nodeAgent(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	client, err := docker.Open()
	if err != nil {
		return err
	}
	defer client.Close()
	err = server.Run(c.Context, client, agentOptions(c), newLog(c, s))
	if errors.Is(err, engine.ErrAPIChange) {
		return reexec()
	}
	return err
}

func agentOptions(c *cli.Context) server.Options {
	return server.Options{
		Socket: c.String("socket"),
		State:  c.String("state"), User: c.String("user"), Version: version(),
		ConfigFile: c.String("config"), Namespaces: network.NetnsDir, Names: ociruntime.Names, Choices: ociruntime.Choices, Marks: ociruntime.OutOfMemory,
		Kernel: network.KernelAt("/proc"), Specs: devices.SpecDirs(),
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
