package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/openstack"
)

func rebootCommand(s Streams) *cli.Command {
	command := verbCommand(s, openstack.Reboot, "Stop and start servers",
		&cli.BoolFlag{Name: "hard", Usage: "kill the process instead of asking it to end"})
	command.Description = examples(
		"ndock reboot --wait web",
		"ndock reboot --hard web")
	command.Action = func(c *cli.Context) error {
		if c.Bool("hard") {
			return actOnServers(c, s, openstack.HardReboot)
		}
		return actOnServers(c, s, openstack.Reboot)
	}
	return command
}
