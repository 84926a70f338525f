package commands

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"ndock/docker/image"
)

func imagePushCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "push",
		Usage:     "Push an image of Docker Engine to a registry",
		ArgsUsage: "REGISTRY/REPOSITORY:TAG",
		Description: "Pushes as 'docker push' does, but from this side: the engine need not reach the registry, nor trust it. The image is\n" +
			"the engine's of that name, or that of --from.\n\n" +
			examples(
				"ndock image push registry.example.com/site/web:1",
				"ndock image push --from web:1 registry.example.com/site/web:1"),
		Flags: slices.Concat(outputFlags(), sendFlags(), transportsFlags(), []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "`SOURCE` of the image, as for 'ndock image copy'", DefaultText: "the engine's image of that name"},
		}),
		Action: func(c *cli.Context) error { return imagePush(c, s) },
	}
}

func imagePush(c *cli.Context, s Streams) error {
	args, err := exactly(c, "REGISTRY/REPOSITORY:TAG")
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(args[0], string(image.Registry)+"://")
	from := c.String("from")
	if from == "" {
		from = string(image.Engine) + ":" + name
	}
	return copyNamed(c, s, from, string(image.Registry)+"://"+name)
}
