package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/openstack"
)

func imageShowCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "Show a Docker image in Glance, and which servers use it",
		ArgsUsage: "IMAGE",
		Description: "Only administrators see servers of other projects.\n\n" +
			examples(
				"ndock image show web:1",
				"ndock image show web:1 -f value -c Servers"),
		Flags:  outputFlags(),
		Action: func(c *cli.Context) error { return imageShow(c, s) },
	}
}

func imageShow(c *cli.Context, s Streams) error {
	args, err := exactly(c, "IMAGE")
	if err != nil {
		return err
	}
	if err := outputStyle(c).Check(output.Names(imageDetails(openstack.Image{}, nil))); err != nil {
		return err
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	image, err := cloud.Image(c.Context, args[0])
	if err != nil {
		return err
	}
	used, err := cloud.ServersByImage(c.Context)
	if err != nil {
		return err
	}
	return outputStyle(c).Show(s.Out, imageDetails(image, used[image.ID]))
}

// imageDetails are the fields of an image that these servers use.
func imageDetails(image openstack.Image, servers []openstack.Server) []output.Field {
	return append(imageFields(image),
		output.Field{Name: "Checksum", Value: orNone(image.Checksum)},
		output.Field{Name: "Protected", Value: image.Protected},
		output.Field{Name: "Servers", Value: list(serverNames(servers))},
	)
}

func serverNames(servers []openstack.Server) []string {
	var names []string
	for _, server := range servers {
		names = append(names, server.Name)
	}
	return names
}
