package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/docker/ociruntime"
)

// nodeRuntimeCommand is what Docker Engine calls, with runc's own arguments, for each container of a server, where
// this ndock has no program ndock-runtime in it, or setup has not changed over to it yet.
func nodeRuntimeCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:            "runtime",
		Usage:           "Stand in for runc where Docker Engine runs a server's container",
		Hidden:          true,
		SkipFlagParsing: true,
		Action: func(c *cli.Context) error {
			return ociruntime.Main(c.Args().Slice(), s.In)
		},
	}
}
