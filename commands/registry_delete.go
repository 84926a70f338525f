package commands

import (
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/urfave/cli/v2"

	"ndock/registry/client"
)

func registryDeleteCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "delete",
		Usage:     "Delete tags and images from a registry",
		ArgsUsage: "REPOSITORY:TAG|REPOSITORY@DIGEST…",
		Description: "Deleting a tag keeps the image, under its other tags and its digest. Deleting a digest deletes the image and all its\n" +
			"tags in that repository. 'ndock registry gc' then frees the disk space.\n\n" +
			examples(
				"ndock registry delete site/web:1 site/web:2",
				"ndock registry delete --registry registry.example.com --yes site/web:1"),
		Flags: slices.Concat(registryClientFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "yes", Usage: "do not ask for confirmation"},
		}),
		Action: func(c *cli.Context) error { return registryDelete(c, s) },
	}
}

func registryDelete(c *cli.Context, s Streams) error {
	names, err := atLeastOne(c, "REPOSITORY:TAG")
	if err != nil {
		return err
	}
	if err := checkReferences(c, names); err != nil {
		return err
	}
	if err := confirmed(c, s, "Delete "+strings.Join(names, ", ")+"?"); err != nil {
		return err
	}
	at, err := openRegistry(c)
	if err != nil {
		return err
	}
	return forEach(c.Context, names, func(text string) error {
		ref, err := at.ParseExact(text)
		if err != nil {
			return misused(c, "%s", err)
		}
		return at.Delete(c.Context, ref)
	})
}

// checkReferences looks at all of them before one is deleted.
func checkReferences(c *cli.Context, names []string) error {
	anywhere := client.Registry{Address: name.DefaultRegistry}
	if address := c.String("registry"); address != "" {
		anywhere.Address = address
	}
	for _, text := range names {
		if _, err := anywhere.ParseExact(text); err != nil {
			return misused(c, "%s", err)
		}
	}
	return nil
}
