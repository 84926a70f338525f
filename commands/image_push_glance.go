package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"ndock/commands/internal/output"
	"ndock/commands/internal/progress"
	"ndock/docker/image"
	"ndock/openstack"
)

func imagePushGlanceCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "push-glance",
		Usage:     "Push Docker images to Glance, for Nova to boot",
		ArgsUsage: "SOURCE…",
		Description: "Streams images into Glance, without temporary files, verifies them on the way, and compares checksums. An image that\n" +
			"the project already has in Glance, by its Docker id, is not sent again, and of others only layers that the project\n" +
			"lacks: each of more than 1 MiB is a hidden image, which all images share. 'ndock image gc' removes those that no image\n" +
			"needs. Archives of Docker Engine before 25 do not name their layers, and are sent whole.\n\n" +
			"In Glance nginx:1 is called nginx@1, and nginx:latest nginx, because Glance cannot search for a name with a colon.\n" +
			"ndock takes either name.\n\n" +
			transportsText + "\n\n" +
			examples(
				"ndock image push-glance nginx:1",
				"ndock image push-glance docker://registry.example.com/site/web:1",
				"ndock image push-glance -f value -c ID nginx:1",
				"docker save web | ndock image push-glance --name web -"),
		Flags: slices.Concat(outputFlags(), pushFlags(), sendFlags(), transportsFlags(), []cli.Flag{
			&cli.IntFlag{Name: "jobs", Value: 3, Usage: "`NUMBER` of images that are sent at the same time"},
		}),
		Action: func(c *cli.Context) error { return imagePushGlance(c, s) },
	}
}

// pushFlags say how an image shall stand in Glance.
func pushFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "name", Usage: "`NAME` of the image in Glance", DefaultText: "the source's name, with @ for a colon"},
		&cli.BoolFlag{Name: "public", Usage: "make the image visible to everyone (in most clouds, for administrators only)"},
		&cli.BoolFlag{Name: "private", Usage: "make the image visible to this project only"},
		&cli.BoolFlag{Name: "shared", Usage: "make the image visible to this project and those that it is shared with"},
		&cli.BoolFlag{Name: "community", Usage: "make the image usable by everyone who knows its id"},
		&cli.BoolFlag{Name: "protected", Usage: "prevent the image from being deleted"},
		&cli.StringSliceFlag{Name: "property", Usage: "property `KEY=VALUE` of the image"},
		&cli.BoolFlag{Name: "whole", Usage: "send the image as one archive, which hosts with an older ndock can boot, too"},
	}
}

const defaultRetries = 3

// sendFlags say how an image is sent to Glance or to a registry.
func sendFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "force", Usage: "send the image even if it is there already"},
		&cli.IntFlag{Name: "retries", Value: defaultRetries, Usage: "`NUMBER` of further attempts when Glance, a registry or the network fails"},
	}
}

func imagePushGlance(c *cli.Context, s Streams) error {
	args, err := atLeastOne(c, "SOURCE")
	if err != nil {
		return err
	}
	if len(args) > 1 && c.String("name") != "" {
		return misused(c, "--name is for one image, and there are %d", len(args))
	}
	if c.Int("jobs") < 1 {
		return misused(c, "--jobs %d is not a number of images", c.Int("jobs"))
	}
	var sources []image.Reference
	for _, arg := range args {
		source, err := reference(c, arg)
		if err != nil {
			return err
		}
		sources = append(sources, source)
	}
	return pushGlance(c, s, sources, c.String("name"), c.Int("jobs"))
}

// pushGlance pushes images. The name is for one; it is empty for those that keep their source's.
func pushGlance(c *cli.Context, s Streams, sources []image.Reference, name string, jobs int) error {
	if err := outputStyle(c).Check(pushColumns(len(sources))); err != nil {
		return err
	}
	open := openCloudOnce(c, s)
	pushes, err := glancePushes(c, s, sources, name, open)
	if err != nil {
		return err
	}
	cloud, err := open()
	if err != nil {
		return err
	}
	pushed, failed := pushAll(c.Context, cloud, pushes, jobs)
	return errors.Join(showPushed(c, s, len(sources), pushed), failed)
}

// glancePush is one image on its way.
type glancePush struct {
	from       image.Reference
	transports image.Transports
	options    openstack.PushOptions
	sending    *sentLayers // by all of them
	report     *progress.Reporter
}

func glancePushes(c *cli.Context, s Streams, sources []image.Reference, name string, cloud func() (*openstack.Cloud, error)) ([]glancePush, error) {
	transports, err := transports(c, s)
	if err != nil {
		return nil, err
	}
	transports.Strict = true
	options, err := pushOptions(c)
	if err != nil {
		return nil, err
	}
	report := newProgress(c, s)
	report.Expect(len(sources))
	transports = withGlance(transports, cloud)
	sending := &sentLayers{all: map[digest.Digest]*sentLayer{}}
	var all []glancePush
	for _, at := range sources {
		one := glancePush{from: at, transports: transports, options: options, sending: sending, report: report}
		if one.options.Name, err = nameInGlance(c, name, at); err != nil {
			return nil, err
		}
		warnOfColon(s, one.options.Name)
		all = append(all, one)
	}
	return all, nil
}

func pushOptions(c *cli.Context) (openstack.PushOptions, error) {
	options := openstack.PushOptions{Protected: c.Bool("protected"), Force: c.Bool("force"), Whole: c.Bool("whole")}
	var err error
	if options.Retries, err = retries(c); err != nil {
		return options, err
	}
	if options.Visibility, err = visibility(c); err != nil {
		return options, err
	}
	options.Properties, err = pairs(c, "property")
	return options, err
}

// pushAll sends several at once. One that fails does not stop the others.
func pushAll(ctx context.Context, cloud *openstack.Cloud, pushes []glancePush, jobs int) ([]openstack.Image, error) {
	pushed := make([]openstack.Image, len(pushes))
	failed := make([]error, len(pushes))
	var group errgroup.Group
	group.SetLimit(jobs)
	for i, push := range pushes {
		group.Go(func() error {
			pushed[i], failed[i] = push.run(ctx, cloud)
			return nil
		})
	}
	_ = group.Wait() // each has its own
	var there []openstack.Image
	for i := range pushed {
		if failed[i] == nil {
			there = append(there, pushed[i])
		}
	}
	return there, errors.Join(failed...)
}

func (p glancePush) run(ctx context.Context, cloud *openstack.Cloud) (openstack.Image, error) {
	p.transports.Notice = func(text string) { p.report.Step("%s", text) }
	source, err := p.transports.Find(ctx, p.from)
	if err != nil {
		return openstack.Image{}, err
	}
	transfer := p.report.Transfer("push "+p.options.Name, source.Size)
	p.options.Docker = glanceMetadata(source.Metadata)
	p.options.Progress = transfer
	p.options.Open = func(ctx context.Context) (openstack.Content, error) {
		if p.options.Whole {
			return openContent(source.Archive(ctx))
		}
		return openContent(source.LayeredArchive(ctx, glanceLayers{cloud: cloud, of: fmt.Sprintf("image %q", p.options.Name), progress: transfer, sending: p.sending}))
	}
	if source.ReadOnce {
		p.options.Retries = 0
	}
	p.options.Retrying = func(err error, pause time.Duration) {
		p.report.Step("push %q: %s; trying again in %s", p.options.Name, err, pause)
	}
	pushed, err := cloud.PushImage(ctx, p.options)
	transfer.End(err)
	if err == nil && pushed.Existed {
		p.report.Step("image %q is in Glance already, as %q; --force sends it again", p.from, pushed.Name)
	}
	return pushed.Image, err
}

// pushColumns are those of one image, which is shown whole, or of several.
func pushColumns(count int) []string {
	if count == 1 {
		return output.Names(imageFields(openstack.Image{}))
	}
	return imageHeaders
}

func showPushed(c *cli.Context, s Streams, asked int, pushed []openstack.Image) error {
	switch {
	case asked > 1:
		return outputStyle(c).List(s.Out, imageHeaders, imageRows(pushed))
	case len(pushed) == 1:
		return outputStyle(c).Show(s.Out, imageFields(pushed[0]))
	}
	return nil
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
