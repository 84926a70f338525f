package commands

import (
	"slices"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/openstack"
)

func snapshotCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "snapshot",
		Usage:     "Make a bootable image of a server",
		ArgsUsage: "SERVER",
		Description: "The server stays up; it is paused while Docker commits it. The image has the server's files, its command and its\n" +
			"environment.\n\n" +
			examples(
				"ndock snapshot web --name web-2 --wait",
				"ndock snapshot web --wait -f value -c ID"),
		Flags: slices.Concat(outputFlags(), waitingFlags("longest `DURATION` of --wait"), []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "`NAME` of the image", DefaultText: "the server's name, with @ for a colon"},
		}),
		Action: func(c *cli.Context) error { return snapshot(c, s) },
	}
}

func snapshot(c *cli.Context, s Streams) error {
	args, err := exactly(c, "SERVER")
	if err != nil {
		return err
	}
	if err := outputStyle(c).Check(output.Names(imageFields(openstack.Image{}))); err != nil {
		return err
	}
	warnOfColon(s, c.String("name"))
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	image, err := cloud.Snapshot(c.Context, args[0], c.String("name"), waitOptions(c, s))
	if err != nil {
		return err
	}
	return outputStyle(c).Show(s.Out, imageFields(image))
}
