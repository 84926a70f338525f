package commands

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"ndock/docker/ociruntime"
)

// nodeRuntimeCommand is what Docker Engine calls, with runc's own arguments, for each container of a server.
func nodeRuntimeCommand() *cli.Command {
	return &cli.Command{
		Name:            "runtime",
		Usage:           "Stand in for runc where Docker Engine runs a server's container",
		Hidden:          true,
		SkipFlagParsing: true,
		Action: func(c *cli.Context) error {
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find ndock itself: %w", err)
			}
			return ociruntime.Run(program, c.Args().Slice())
		},
	}
}
