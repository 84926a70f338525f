package commands

import "github.com/urfave/cli/v2"

func imageDeleteCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "delete",
		Usage:     "Delete images from Glance",
		ArgsUsage: "IMAGE…",
		Description: "Layers that are Glance images of their own stay, for other images may have them; 'ndock image gc' removes those that no\n" +
			"image needs.\n\n" + examples(
			"ndock image delete web:1",
			"ndock image delete web:1 web:2"),
		Action: func(c *cli.Context) error { return imageDelete(c, s) },
	}
}

func imageDelete(c *cli.Context, s Streams) error {
	names, err := atLeastOne(c, "IMAGE")
	if err != nil {
		return err
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	return forEach(c.Context, names, func(name string) error { return cloud.DeleteImage(c.Context, name) })
}
