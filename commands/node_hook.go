package commands

import (
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"ndock/docker/network"
	"ndock/docker/ociruntime"
)

// nodeHookCommand is what runc calls when a server's container starts, and when it has ended.
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
			var state ociruntime.State
			if err := json.NewDecoder(s.In).Decode(&state); err != nil {
				return fmt.Errorf("read the container's state from runc: %w", err)
			}
			if args[0] == "leave" {
				return ociruntime.Leave(args[1], state)
			}
			return ociruntime.Join(args[1], state, network.KernelAt("/proc"))
		},
	}
}
