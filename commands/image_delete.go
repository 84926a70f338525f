package commands

import "github.com/urfave/cli/v2"

func imageDeleteCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "delete",
		Usage:     "Delete images from Glance",
		ArgsUsage: "IMAGE…",
		Action: func(c *cli.Context) error {
			names, err := atLeastOne(c, "IMAGE")
			if err != nil {
				return err
			}
			cloud, err := openCloud(c, s)
			if err != nil {
				return err
			}
			return forEach(c.Context, names, func(name string) error { return cloud.DeleteImage(c.Context, name) })
		},
	}
}
