package commands

import (
	"slices"

	docker "github.com/distribution/reference"
	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/docker/image"
	"ndock/openstack"
)

func imagePullGlanceCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "pull-glance",
		Usage:     "Pull a Docker image from Glance",
		ArgsUsage: "IMAGE",
		Description: "Streams the image to Docker Engine, or to --to, and compares its checksum with Glance's. In the engine it has the name\n" +
			"that it has in Glance, with : for @. Names inside the image are not used: they are its maker's, and could replace\n" +
			"another image's.\n\n" +
			examples(
				"ndock image pull-glance web:1",
				"ndock image pull-glance web:1 --to docker-daemon:web:old",
				"ndock image pull-glance web:1 --to docker-archive:web.tar",
				"ndock image pull-glance web:1 --to docker://127.0.0.1:5050/site/web:1"),
		Flags: slices.Concat(outputFlags(), sendFlags(), transportsFlags(), []cli.Flag{
			&cli.StringFlag{Name: "to", Value: "engine", Usage: "`DEST` of the image: engine, or a name as for 'ndock image copy'; - for stdout"},
		}),
		Action: func(c *cli.Context) error { return imagePullGlance(c, s) },
	}
}

func imagePullGlance(c *cli.Context, s Streams) error {
	args, err := exactly(c, "IMAGE")
	if err != nil {
		return err
	}
	to := image.Reference{Transport: image.Engine}
	if text := c.String("to"); text != "engine" {
		if to, err = reference(c, text); err != nil {
			return err
		}
	}
	if err := checkDest(c, to); err != nil {
		return err
	}
	if err := outputStyle(c).Check(output.Names(copyFields(image.Stored{}))); err != nil {
		return err
	}
	transports, err := transports(c, s)
	if err != nil {
		return err
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	found, err := cloud.Image(c.Context, args[0])
	if err != nil {
		return err
	}
	if to == (image.Reference{Transport: image.Engine}) {
		if to.Name, err = nameInEngine(c, found.Name); err != nil {
			return err
		}
	}
	transports = withGlance(transports, func() (*openstack.Cloud, error) { return cloud, nil })
	return copyImage(c, s, transports, image.Reference{Transport: image.Glance, Name: found.ID}, to)
}

// nameInEngine is a name of Glance's, if Docker can have such names.
func nameInEngine(c *cli.Context, name string) (string, error) {
	parsed, err := docker.ParseNormalizedNamed(openstack.DockerName(name))
	if err != nil {
		return "", misused(c, "in Glance the image is called %q, and Docker has no such names: give it one by --to docker-daemon:NAME", name)
	}
	return docker.FamiliarString(docker.TagNameOnly(parsed)), nil
}
