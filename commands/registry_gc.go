package commands

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/registry/control"
	"ndock/registry/deploy"
	"ndock/registry/gc"
)

func registryGCCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "gc",
		Usage: "Free the disk space of data that nothing in the registry refers to",
		Description: "The registry is read-only meanwhile: gc waits for pushes under way, and the registry refuses others, which clients try\n" +
			"again. Blobs, manifests and uploads that are younger than --grace are kept, because what refers to them may still\n" +
			"come. gc can be interrupted at any time: nothing that is referred to is lost. Images in Glance are for 'ndock image gc'.\n\n" +
			examples(
				"ndock registry gc",
				"ndock registry gc --untagged --dry-run"),
		Flags: slices.Concat([]cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "show what would be freed, and free nothing"},
			&cli.BoolFlag{Name: "untagged", Usage: "free images without a tag, too, unless an index with a tag has them or they are about an image with a tag"},
			&cli.DurationFlag{Name: "grace", Value: time.Hour, Usage: "minimum age of what is freed, as a `DURATION`"},
			&cli.DurationFlag{Name: "wait", Value: time.Minute, Usage: "longest `DURATION` to wait for pushes under way"},
			&cli.PathFlag{Name: "control", Usage: "control `SOCKET` of 'ndock registry serve'", DefaultText: "that of the registry of this host"},
		}, outputFlags()),
		Action: func(c *cli.Context) error { return registryGC(c, s) },
	}
}

func registryGC(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	options := control.Options{
		Options: gc.Options{
			DryRun: c.Bool("dry-run"), Untagged: c.Bool("untagged"), Grace: c.Duration("grace"), Report: newProgress(c, s),
		},
		Wait: c.Duration("wait"),
	}
	if err := options.Check(); err != nil {
		return misused(c, "%s", err)
	}
	style := outputStyle(c)
	if err := style.Check(output.Names(registryFreed(style, gc.Result{}))); err != nil {
		return err
	}
	dial, done, err := registryControl(c)
	if err != nil {
		return err
	}
	defer done()
	freed, err := control.Collect(c.Context, dial, options)
	if err != nil {
		return err
	}
	return style.Show(s.Out, registryFreed(style, freed))
}

// registryControl is how the registry is reached that --control names, or that of this host.
func registryControl(c *cli.Context) (dial func(context.Context) (net.Conn, error), done func(), err error) {
	if socket := c.Path("control"); socket != "" {
		return control.Dial(socket), func() {}, nil
	}
	engine, err := engineClient(c)
	if err != nil {
		return nil, nil, err
	}
	return deploy.Dial(deploy.Systemd{}, engine), func() { engine.Close() }, nil
}

func registryFreed(style output.Style, freed gc.Result) []output.Field {
	return []output.Field{
		{Name: "Manifests", Value: freed.Manifests},
		{Name: "Layers", Value: freed.Layers},
		{Name: "Blobs", Value: freed.Blobs},
		{Name: "Uploads", Value: freed.Uploads},
		{Name: "Size", Value: size(style, freed.Bytes)},
	}
}
