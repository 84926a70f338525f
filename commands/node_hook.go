package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/docker/ociruntime"
)

// nodeHookCommand is what runc calls when a server's container starts, and when it has ended, where it was started by an ndock
// without the program ndock-runtime, or before there was one.
func nodeHookCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "hook",
		Usage:     "Plug a server's container in, or out, on behalf of runc",
		ArgsUsage: "join|leave DIRECTORY",
		Hidden:    true,
		Action: func(c *cli.Context) error {
			args, err := exactly(c, "join|leave", "DIRECTORY")
			if err != nil {
				return err
			}
			return ociruntime.Hook(args[0], args[1], s.In)
		},
	}
}
