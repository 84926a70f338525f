package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/openstack"
)

func stopCommand(s Streams) *cli.Command {
	return verbCommand(s, openstack.Stop, "Stop servers: the process gets its stop signal, and the time that Nova gives it")
}
