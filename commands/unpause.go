package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/openstack"
)

func unpauseCommand(s Streams) *cli.Command {
	return verbCommand(s, openstack.Unpause, "Resume paused servers")
}
