package commands

import "github.com/urfave/cli/v2"

func imageListCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "List the Docker images in Glance",
		Description: examples(
			"ndock image list",
			"ndock image list -f value -c ID -c Name"),
		Flags:  outputFlags(),
		Action: func(c *cli.Context) error { return imageList(c, s) },
	}
}

func imageList(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	if err := outputStyle(c).Check(imageHeaders); err != nil {
		return err
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	images, err := cloud.Images(c.Context)
	if err != nil {
		return err
	}
	return outputStyle(c).List(s.Out, imageHeaders, imageRows(images))
}

// shortID is the part of a Docker id that docker itself shows.
func shortID(id string) string {
	const prefix, shown = "sha256:", 12
	if len(id) < len(prefix)+shown {
		return id
	}
	return id[len(prefix) : len(prefix)+shown]
}
