package commands

import (
	"slices"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/openstack"
)

func imageCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "image",
		Usage: "Manage Docker images in Glance, and copy them between engines, registries and archives",
		Description: examples(
			"ndock image push-glance nginx:1",
			"ndock image list"),
		Subcommands: slices.Concat(
			categorized("Transfers", imagePushGlanceCommand(s), imagePullGlanceCommand(s), imagePushCommand(s), imageCopyCommand(s)),
			categorized("Images in Glance", imageListCommand(s), imageShowCommand(s), imageDeleteCommand(s), imagePruneCommand(s), imageGCCommand(s))),
	}
}

func imageFields(image openstack.Image) []output.Field {
	return []output.Field{
		{Name: "ID", Value: image.ID},
		{Name: "Name", Value: image.Name},
		{Name: "Status", Value: image.Status},
		{Name: "Visibility", Value: image.Visibility},
		{Name: "Size", Value: image.Taken()},
		{Name: "Min Disk", Value: image.MinDisk},
		{Name: "Docker ID", Value: image.DockerID},
		{Name: "Tags", Value: list(image.Tags())},
		{Name: "Architecture", Value: image.Architecture},
		{Name: "Layers", Value: image.Layers},
		{Name: "Unpacked Size", Value: image.UnpackedSize},
		{Name: "Created", Value: image.Created},
	}
}

var imageHeaders = []string{"ID", "Name", "Status", "Visibility", "Size", "Layered", "Architecture", "Docker ID"}

func imageRows(images []openstack.Image) [][]any {
	var rows [][]any
	for _, image := range images {
		rows = append(rows, []any{image.ID, image.Name, image.Status, image.Visibility, image.Taken(), image.Layered, image.Architecture, shortID(image.DockerID)})
	}
	return rows
}

// list is never null in JSON.
func list(values []string) []string {
	if values == nil {
		return []string{}
	}
	return values
}
