package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/openstack"
)

func deleteCommand(s Streams) *cli.Command {
	return verbCommand(s, openstack.Delete, "Delete servers")
}
