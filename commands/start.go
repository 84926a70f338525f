package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/openstack"
)

func startCommand(s Streams) *cli.Command {
	return verbCommand(s, openstack.Start, "Start stopped servers")
}
