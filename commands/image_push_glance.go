package commands

import (
	"context"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/docker"
	"ndock/openstack"
)

func imagePushGlanceCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "push-glance",
		Usage:     "Put an image of Docker Engine into Glance, for Nova to boot",
		ArgsUsage: "IMAGE",
		Description: "Streams what 'docker save' gives into Glance: nothing is written to disk on the way. An image that the\n" +
			"project has in Glance already, by its Docker id, is not sent again.\n\n" +
			"   ndock image push-glance nginx:1\n" +
			"   id=$(ndock image push-glance -f value -c ID nginx:1)",
		Flags: append(outputFlags(),
			&cli.StringFlag{Name: "name", Usage: "of the image in Glance; default: IMAGE"},
			&cli.BoolFlag{Name: "public", Usage: "for everyone (administrators only, in most clouds)"},
			&cli.BoolFlag{Name: "private", Usage: "for this project only"},
			&cli.BoolFlag{Name: "shared", Usage: "for this project and those it is shared with"},
			&cli.BoolFlag{Name: "community", Usage: "for everyone who knows its id"},
			&cli.BoolFlag{Name: "protected", Usage: "cannot be deleted"},
			&cli.StringSliceFlag{Name: "property", Usage: "set a property of the image, as `KEY=VALUE`; may be repeated"},
			&cli.BoolFlag{Name: "force", Usage: "send it even if it is there"},
		),
		Action: func(c *cli.Context) error { return imagePushGlance(c, s) },
	}
}

func imagePushGlance(c *cli.Context, s Streams) error {
	args, err := exactly(c, "IMAGE")
	if err != nil {
		return err
	}
	options := openstack.PushOptions{Name: c.String("name"), Protected: c.Bool("protected"), Force: c.Bool("force")}
	if options.Visibility, err = visibility(c); err != nil {
		return err
	}
	if options.Properties, err = pairs(c, "property"); err != nil {
		return err
	}
	if err := outputStyle(c).Check(output.Names(imageFields(openstack.Image{}))); err != nil {
		return err
	}
	engine, err := engineClient(c)
	if err != nil {
		return err
	}
	defer engine.Close()
	image, err := docker.FindImage(c.Context, engine, args[0])
	if err != nil {
		return err
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	report := newProgress(c, s)
	bar := report.Bar("push "+args[0], image.Size)
	describe(&options, args[0], image)
	options.Progress = bar
	options.Open = func(ctx context.Context) (io.ReadCloser, error) { return docker.SaveImage(ctx, engine, image.ID) }
	pushed, err := cloud.PushImage(c.Context, options)
	if closing := bar.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	if pushed.Existed {
		report.Step("image %q is in Glance already, as %q; --force sends it again", args[0], pushed.Name)
	}
	return outputStyle(c).Show(s.Out, imageFields(pushed.Image))
}

func describe(options *openstack.PushOptions, typed string, image docker.Image) {
	if options.Name == "" {
		options.Name = typed
	}
	options.DockerID, options.Tags, options.Architecture, options.UnpackedSize = image.ID, image.Tags, image.Architecture, image.Size
}

// visibility is the one switch of four that is set, if any.
func visibility(c *cli.Context) (string, error) {
	chosen := ""
	for _, name := range []string{"public", "private", "shared", "community"} {
		if !c.Bool(name) {
			continue
		}
		if chosen != "" {
			return "", misused(c, "--%s and --%s exclude each other", chosen, name)
		}
		chosen = name
	}
	return chosen, nil
}

// pairs reads a flag that is given as KEY=VALUE, any number of times.
func pairs(c *cli.Context, flag string) (map[string]string, error) {
	all := map[string]string{}
	for _, pair := range c.StringSlice(flag) {
		key, value, found := strings.Cut(pair, "=")
		if !found || key == "" {
			return nil, misused(c, "--%s %q is not KEY=VALUE", flag, pair)
		}
		all[key] = value
	}
	return all, nil
}
