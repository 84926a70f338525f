package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/openstack"
)

func stopCommand(s Streams) *cli.Command {
	return verbCommand(s, openstack.Stop, "Stop running servers")
}
