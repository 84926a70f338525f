package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/openstack"
)

func pauseCommand(s Streams) *cli.Command {
	return verbCommand(s, openstack.Pause, "Pause servers")
}
