package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/openstack"
)

func showCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "Show a server",
		ArgsUsage: "SERVER",
		Description: examples(
			"ndock show web",
			"ndock show web -f value -c Networks"),
		Flags:  outputFlags(),
		Action: func(c *cli.Context) error { return showServer(c, s) },
	}
}

func showServer(c *cli.Context, s Streams) error {
	args, err := exactly(c, "SERVER")
	if err != nil {
		return err
	}
	if err := outputStyle(c).Check(output.Names(serverFields(openstack.Server{}))); err != nil {
		return err
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	server, err := cloud.Server(c.Context, args[0])
	if err != nil {
		return err
	}
	return outputStyle(c).Show(s.Out, serverFields(server))
}
