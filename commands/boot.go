package commands

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

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
				"ndock boot -it --rm --image debian:12 --flavor m1.tiny shell -- bash",
				"ndock boot --image debian:12 --flavor m1.tiny -e LANG=C job -- sh -c 'date; sleep 60'"),
		Flags: slices.Concat(outputFlags(), waitFlags(), transportsFlags(), []cli.Flag{
			&cli.StringFlag{Name: "image", Usage: "`IMAGE` in Glance, by name or id, or elsewhere, such as docker://HOST/REPOSITORY:TAG"},
			&cli.StringFlag{Name: "flavor", Usage: "`FLAVOR` of the servers, by name or id"},
			&cli.StringSliceFlag{Name: "network", Usage: "`NETWORK` for a port, by name or id", DefaultText: "the only network there is"},
			&cli.StringSliceFlag{Name: "security-group", Usage: "security `GROUP` of the ports, by name"},
			&cli.StringFlag{Name: "key-name", Usage: "`NAME` of the key pair"},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "environment variable `KEY=VALUE` of the process"},
			&cli.IntFlag{Name: "count", Value: 1, Usage: "`NUMBER` of servers, which are then called NAME-1 to NAME-N"},
			&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "wait for the server, and attach to its console, see 'ndock attach'"},
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "the same as --interactive: the console is a terminal"},
			&cli.BoolFlag{Name: "rm", Usage: "delete the server when its console has ended or was left"},
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
	if attaches(c) {
		return bootAttached(c, s, cloud, options)
	}
	servers, failed := cloud.Boot(c.Context, options)
	if len(servers) == 0 {
		return failed
	}
	return errors.Join(failed, showBooted(c, s, servers))
}

func attaches(c *cli.Context) bool { return c.Bool("interactive") || c.Bool("tty") }

// bootAttached boots a server and joins the terminal to its console. With --rm the server is deleted then, whatever happened.
func bootAttached(c *cli.Context, s Streams, cloud *openstack.Cloud, options openstack.BootOptions) error {
	options.Wait.Wanted = false
	servers, err := cloud.Boot(c.Context, options)
	if err != nil {
		return err
	}
	id := servers[0].ID
	err = attachBooted(c, s, cloud, servers, options.Wait)
	if !c.Bool("rm") {
		return err
	}
	newProgress(c, s).Step("delete server %q", options.Name)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context), removeTimeout)
	defer cancel()
	return errors.Join(err, cloud.Act(ctx, openstack.Delete, openstack.Wait{}, id))
}

// removeTimeout is for the request alone.
const removeTimeout = 30 * time.Second

// attachBooted waits for the server. Of one whose process has ended by then, the log has what it wrote.
func attachBooted(c *cli.Context, s Streams, cloud *openstack.Cloud, servers []openstack.Server, wait openstack.Wait) error {
	log := func(ctx context.Context) (string, error) { return cloud.Console(ctx, servers[0].ID, 0) }
	if _, err := cloud.AwaitBoot(c.Context, servers, wait); err != nil {
		if c.Context.Err() != nil {
			return err
		}
		text, _ := log(c.Context) // there is none where there was no container
		_, failed := io.WriteString(s.Out, text)
		return errors.Join(err, failed)
	}
	return attachTo(c, s, attachment{cloud: cloud, server: servers[0], escape: defaultEscape, linger: defaultLinger, log: log})
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
	case options.Count > 1 && attaches(c):
		return options, misused(c, "-it is for one server, and --count is %d", options.Count)
	case c.Bool("rm") && !attaches(c):
		return options, misused(c, "--rm is for -it: nothing else tells when the server is no longer needed")
	}
	options.Name = args[0]
	var err error
	options.Environment, err = pairs(c, "env")
	return options, err
}
