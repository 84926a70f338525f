package commands

import (
	"context"
	"fmt"

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
	if err := outputStyle(c).Check(output.Names(shownFields(openstack.Server{}, nil))); err != nil {
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
	return outputStyle(c).Show(s.Out, shownFields(server, devicesOf(c.Context, s, cloud, server)))
}

// devicesOf returns what to say of a server's devices. That they are not known keeps nobody from seeing the rest.
func devicesOf(ctx context.Context, s Streams, cloud *openstack.Cloud, server openstack.Server) any {
	names, err := cloud.Devices(ctx, server)
	if err != nil {
		fmt.Fprintf(s.Err, "warning: %s\n", output.Line(err.Error()))
	}
	if len(names) == 0 {
		return nil
	}
	return names
}

func shownFields(server openstack.Server, devices any) []output.Field {
	return append(serverFields(server), output.Field{Name: "Devices", Value: devices})
}
