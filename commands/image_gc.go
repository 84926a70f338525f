package commands

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"ndock/commands/internal/progress"
	"ndock/docker/archive"
	"ndock/openstack"
)

func imageGCCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "gc",
		Usage: "Remove layers from Glance that no image of the project needs",
		Description: "Lists the layers that are removed. One that no image needs is first condemned, which means renamed, so that no push\n" +
			"finds it; a later gc deletes it. Layers that were shown, shared, published, renamed or protected stay. gc may be\n" +
			"interrupted at any time, and run while images are pushed: no image loses a layer. It removes nothing if it cannot\n" +
			"read which layers an image needs.\n\n" +
			"With --check, it removes nothing, lists layers that images lack, and fails if there are any.\n\n" +
			examples(
				"ndock image gc",
				"ndock image gc --dry-run",
				"ndock image gc --check"),
		Flags: slices.Concat(outputFlags(), []cli.Flag{
			&cli.StringFlag{Name: "older-than", Value: "1d", Usage: "minimum `AGE` of a layer that is condemned, and of its condemnation before it is deleted"},
			&cli.BoolFlag{Name: "dry-run", Usage: "list what would be done, and do nothing"},
			&cli.BoolFlag{Name: "check", Usage: "list the layers that images lack, and remove none"},
		}),
		Action: func(c *cli.Context) error { return imageGC(c, s) },
	}
}

func imageGC(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	if c.Bool("check") {
		return imageCheck(c, s)
	}
	age, err := leastAge(c, "older-than")
	if err != nil {
		return err
	}
	if err := outputStyle(c).Check(gcHeaders); err != nil {
		return err
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	report := newProgress(c, s)
	collected, failed := cloud.CollectLayers(c.Context, openstack.CollectOptions{
		ListReader: listReader(report), Age: age, Now: time.Now(), DryRun: c.Bool("dry-run"),
	})
	if failed == nil || len(collected) > 0 {
		report.Step("%s", summary(collected, c.Bool("dry-run")))
		failed = errors.Join(listCollected(c, s, collected), failed)
	}
	return failed
}

var gcHeaders = []string{"ID", "Layer", "Action", "Size", "Created"}

func listCollected(c *cli.Context, s Streams, collected []openstack.Collected) error {
	var rows [][]any
	for _, one := range collected {
		rows = append(rows, []any{one.ID, one.LayerName(), string(one.Action), one.Size, one.Created})
	}
	return outputStyle(c).List(s.Out, gcHeaders, rows)
}

// summary says what became of layers, or would.
func summary(collected []openstack.Collected, dryRun bool) string {
	count, freed := map[openstack.CollectAction]int{}, int64(0)
	for _, one := range collected {
		if count[one.Action]++; one.Action == openstack.CollectDelete {
			freed += one.Size
		}
	}
	condemned, deleted, size := count[openstack.CollectCondemn], count[openstack.CollectDelete], units.HumanSizeWithPrecision(float64(freed), 3)
	switch {
	case len(collected) == 0:
		return "there are no layers to remove"
	case dryRun:
		return fmt.Sprintf("layers that would be condemned: %d; deleted: %d, which would free %s", condemned, deleted, size)
	}
	return fmt.Sprintf("layers condemned: %d; deleted: %d, which freed %s", condemned, deleted, size)
}

// listReader reads which layers archives need, and tells how many are read.
func listReader(report *progress.Reporter) openstack.ListReader {
	return openstack.ListReader{
		Read: readList, Retries: defaultRetries,
		Tell: func(read, all int) {
			if read == 0 {
				report.Step("reading which layers %d images need", all)
			}
		},
	}
}

func readList(from io.Reader) ([]openstack.ListedLayer, error) {
	layers, err := archive.ReadList(from)
	var listed []openstack.ListedLayer
	for n, layer := range layers {
		listed = append(listed, openstack.ListedLayer{Digest: string(layer.Digest), Number: n + 1, Size: layer.Size, Image: layer.Image})
	}
	return listed, err
}

func imageCheck(c *cli.Context, s Streams) error {
	for _, other := range []string{"older-than", "dry-run"} {
		if c.IsSet(other) {
			return misused(c, "--check and --%s exclude each other", other)
		}
	}
	if err := outputStyle(c).Check(checkHeaders); err != nil {
		return err
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	lacking, err := cloud.CheckLayers(c.Context, listReader(newProgress(c, s)))
	if err != nil {
		return err
	}
	var rows [][]any
	for _, one := range lacking {
		rows = append(rows, []any{one.ID, one.Name, one.Layer.Digest, one.Layer.Number})
	}
	if err := outputStyle(c).List(s.Out, checkHeaders, rows); err != nil || len(lacking) == 0 {
		return err
	}
	return lackingError(len(lacking))
}

var checkHeaders = []string{"ID", "Name", "Layer", "Number"}

// lackingError is about so many layers.
type lackingError int

func (e lackingError) Error() string {
	return fmt.Sprintf("images lack layers (%d), and no server boots from them", int(e))
}

func (lackingError) Hint() string { return "delete the images, and push again those that are needed" }
