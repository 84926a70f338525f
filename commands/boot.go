package commands

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/docker/image"
	"ndock/openstack"
)

func bootCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "boot",
		Usage:     "Boot servers from an image in Glance",
		ArgsUsage: "NAME [-- COMMAND…]",
		Description: "COMMAND replaces the command of the image; -e adds to its environment. An image that is not in Glance, such as\n" +
			"docker://HOST/REPOSITORY:TAG, is pushed to Glance first. 'ndock image push-glance --help' lists the names of images.\n\n" +
			examples(
				"ndock boot --image nginx:1 --flavor m1.small --wait web",
				"ndock boot --image docker://registry.example.com/site/web:1 --flavor m1.small web",
				"ndock boot --image debian:12 --flavor m1.tiny -e LANG=C job -- sh -c 'date; sleep 60'"),
		Flags: slices.Concat(outputFlags(), waitFlags(), transportsFlags(), []cli.Flag{
			&cli.StringFlag{Name: "image", Usage: "`IMAGE` in Glance, by name or id, or elsewhere, such as docker://HOST/REPOSITORY:TAG"},
			&cli.StringFlag{Name: "flavor", Usage: "`FLAVOR` of the servers, by name or id"},
			&cli.StringSliceFlag{Name: "network", Usage: "`NETWORK` for a port, by name or id", DefaultText: "the only network there is"},
			&cli.StringSliceFlag{Name: "security-group", Usage: "security `GROUP` of the ports, by name"},
			&cli.StringFlag{Name: "key-name", Usage: "`NAME` of the key pair"},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "environment variable `KEY=VALUE` of the process"},
			&cli.IntFlag{Name: "count", Value: 1, Usage: "`NUMBER` of servers, which are then called NAME-1 to NAME-N"},
		}),
		Action: func(c *cli.Context) error { return boot(c, s) },
	}
}

func boot(c *cli.Context, s Streams) error {
	options, err := bootOptions(c, s)
	if err != nil {
		return err
	}
	if err := outputStyle(c).Check(bootColumns(options.Count)); err != nil {
		return err
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	if options.PutImage, err = putImage(c, s, cloud); err != nil {
		return err
	}
	servers, failed := cloud.Boot(c.Context, options)
	if len(servers) == 0 {
		return failed
	}
	return errors.Join(failed, showBooted(c, s, servers))
}

func showBooted(c *cli.Context, s Streams, servers []openstack.Server) error {
	if len(servers) == 1 {
		return outputStyle(c).Show(s.Out, serverFields(servers[0]))
	}
	return outputStyle(c).List(s.Out, serverHeaders, serverRows(servers))
}

// putImage puts an image that is elsewhere into Glance, when it is called. It is nil for one in Glance, which is what a
// name without a transport means.
func putImage(c *cli.Context, s Streams, cloud *openstack.Cloud) (func(context.Context) (string, error), error) {
	from, err := reference(c, c.String("image"))
	switch {
	case err != nil:
		return nil, err
	case from.Transport == image.Glance, from.Transport == image.Engine && from.String() == c.String("image"), from.Transport == image.Stream:
		return nil, nil
	}
	transports, err := transports(c, s)
	if err != nil {
		return nil, err
	}
	transports.Strict = true
	name, err := nameInGlance(c, "", from)
	if err != nil {
		return nil, err
	}
	push := glancePush{from: from, transports: transports, report: newProgress(c, s), options: openstack.PushOptions{Name: name, Retries: defaultRetries}}
	return func(ctx context.Context) (string, error) {
		pushed, err := push.run(ctx, cloud)
		return pushed.ID, err
	}, nil
}

// bootColumns are those of one server, which is shown whole, or of several.
func bootColumns(count int) []string {
	if count == 1 {
		return output.Names(serverFields(openstack.Server{}))
	}
	return serverHeaders
}

func bootOptions(c *cli.Context, s Streams) (openstack.BootOptions, error) {
	args := c.Args().Slice()
	options := openstack.BootOptions{
		Image: strings.TrimPrefix(c.String("image"), string(image.Glance)+":"), Flavor: c.String("flavor"), Networks: c.StringSlice("network"),
		SecurityGroups: c.StringSlice("security-group"), KeyName: c.String("key-name"),
		Count: c.Int("count"), Wait: waitOptions(c, s),
	}
	if at := slices.Index(args, "--"); at >= 0 {
		args, options.Command = args[:at], args[at+1:]
		if len(options.Command) == 0 {
			return options, misused(c, "COMMAND is missing after --")
		}
	}
	switch {
	case len(args) == 0:
		return options, misused(c, "NAME is missing")
	case len(args) > 1:
		return options, misused(c, "unexpected argument %q; a command stands behind --", args[1])
	case options.Image == "":
		return options, misused(c, "--image is missing")
	case options.Flavor == "":
		return options, misused(c, "--flavor is missing")
	case options.Count < 1:
		return options, misused(c, "--count %d is not a number of servers", options.Count)
	}
	options.Name = args[0]
	var err error
	options.Environment, err = pairs(c, "env")
	return options, err
}
