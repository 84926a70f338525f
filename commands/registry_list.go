package commands

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/registry/client"
)

func registryListCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "list",
		Usage:     "List the images in a registry",
		ArgsUsage: "[REPOSITORY]",
		Description: "Lists tagged images. The size is what a client would fetch that has no part of the image; for an index, it is that of\n" +
			"all platforms. The login is that of 'docker login'.\n\n" +
			"An image that is not complete in the registry is listed as damaged, and one about which the registry does not answer\n" +
			"as unknown. The command then fails, and says what to do. A table has the column Status only if not all images are ok,\n" +
			"other formats only if -c names it.\n\n" +
			examples(
				"ndock registry list",
				"ndock registry list site/web"),
		Flags:  slices.Concat(registryClientFlags(), outputFlags()),
		Action: func(c *cli.Context) error { return registryList(c, s) },
	}
}

var registryListHeaders = []string{"Repository", "Tag", "Digest", "Platforms", "Created", "Size", "Status"}

func registryList(c *cli.Context, s Streams) error {
	if c.Args().Len() > 1 {
		return misused(c, "unexpected argument %q", c.Args().Get(1))
	}
	style := outputStyle(c)
	if err := style.Check(registryListHeaders); err != nil {
		return err
	}
	at, err := openRegistry(c)
	if err != nil {
		return err
	}
	images, err := at.List(c.Context, c.Args().First())
	if err != nil && (len(images) == 0 || c.Context.Err() != nil) {
		return err
	}
	var rows [][]any
	var wrong []error
	for _, image := range images {
		rows = append(rows, registryListRow(style, image))
		if cause := cmp.Or(image.Damage, image.Failure); cause != nil {
			wrong = append(wrong, cause)
		}
	}
	if len(style.Columns) == 0 && (style.Format != "table" || len(wrong) == 0) { // programs find the same columns each time
		style.Columns = registryListHeaders[:len(registryListHeaders)-1]
	}
	return errors.Join(style.List(s.Out, registryListHeaders, rows), errors.Join(wrong...), err)
}

func registryListRow(style output.Style, image client.Image) []any {
	switch {
	case image.Damage != nil:
		return []any{image.Repository, image.Tag, nil, list(nil), "", nil, "damaged"}
	case image.Failure != nil:
		return []any{image.Repository, image.Tag, nil, list(nil), "", nil, "unknown"}
	}
	return []any{image.Repository, image.Tag, image.Digest, list(image.Platforms), age(style, image.Created), size(style, image.Size), "ok"}
}

// age is for people in a table, as docker has it, and for programs elsewhere.
func age(style output.Style, t time.Time) any {
	if style.Format != "table" || t.IsZero() {
		return t
	}
	return strings.ToLower(units.HumanDuration(time.Since(t))) + " ago"
}

func size(style output.Style, bytes int64) any {
	if style.Format != "table" {
		return bytes
	}
	return units.HumanSizeWithPrecision(float64(bytes), 3)
}
