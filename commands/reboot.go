package commands

import (
	"slices"

	"github.com/urfave/cli/v2"

	"ndock/openstack"
)

func rebootCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "reboot",
		Usage:     "Restart servers",
		ArgsUsage: "SERVER…",
		Description: examples(
			"ndock reboot --wait web",
			"ndock reboot --hard web"),
		Flags: slices.Concat(waitFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "hard", Usage: "kill the process instead of asking it to end"},
		}),
		Action: func(c *cli.Context) error { return reboot(c, s) },
	}
}

func reboot(c *cli.Context, s Streams) error {
	if c.Bool("hard") {
		return actOnServers(c, s, openstack.HardReboot)
	}
	return actOnServers(c, s, openstack.Reboot)
}
