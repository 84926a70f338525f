package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/registry/control"
)

// registryDialStdioCommand is run in the registry's container, to reach its control socket from outside.
func registryDialStdioCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "dial-stdio",
		Usage:     "Connect stdin and stdout to the control socket of a registry",
		ArgsUsage: "SOCKET",
		Hidden:    true,
		Action:    func(c *cli.Context) error { return registryDialStdio(c, s) },
	}
}

func registryDialStdio(c *cli.Context, s Streams) error {
	args, err := exactly(c, "SOCKET")
	if err != nil {
		return err
	}
	return control.Relay(c.Context, args[0], s.In, s.Out)
}
