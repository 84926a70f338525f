package commands

import (
	"github.com/urfave/cli/v2"
)

func imageListCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "List the Docker images in Glance",
		Flags: outputFlags(),
		Action: func(c *cli.Context) error {
			if _, err := exactly(c); err != nil {
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
			var rows [][]any
			for _, image := range images {
				rows = append(rows, []any{image.ID, image.Name, image.Status, image.Visibility, image.Size, image.Architecture, shortID(image.DockerID)})
			}
			return outputStyle(c).List(s.Out, []string{"ID", "Name", "Status", "Visibility", "Size", "Architecture", "Docker ID"}, rows)
		},
	}
}

// shortID is the part of a Docker id that docker itself shows.
func shortID(id string) string {
	const prefix, shown = "sha256:", 12
	if len(id) < len(prefix)+shown {
		return id
	}
	return id[len(prefix) : len(prefix)+shown]
}
