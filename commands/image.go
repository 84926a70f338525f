package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/openstack"
)

func imageCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:        "image",
		Usage:       "Docker images in Glance",
		Subcommands: []*cli.Command{imagePushGlanceCommand(s), imageListCommand(s), imageDeleteCommand(s)},
	}
}

func imageFields(image openstack.Image) []output.Field {
	return []output.Field{
		{Name: "ID", Value: image.ID},
		{Name: "Name", Value: image.Name},
		{Name: "Status", Value: image.Status},
		{Name: "Visibility", Value: image.Visibility},
		{Name: "Size", Value: image.Size},
		{Name: "Min Disk", Value: image.MinDisk},
		{Name: "Docker ID", Value: image.DockerID},
		{Name: "Tags", Value: list(image.Tags)},
		{Name: "Architecture", Value: image.Architecture},
		{Name: "Unpacked Size", Value: image.UnpackedSize},
	}
}

// list is never null in JSON.
func list(values []string) []string {
	if values == nil {
		return []string{}
	}
	return values
}
