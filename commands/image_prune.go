package commands

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"ndock/openstack"
)

func imagePruneCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "prune",
		Usage: "Delete unused Docker images from Glance",
		Description: "Deletes images of this project that match all given flags, and lists them. An image that is protected or that a\n" +
			"server uses stays. An incomplete image, whose sender was killed, is deleted when it is a day old. So is a hidden one\n" +
			"that another image of its name has superseded, or that was pushed to a registry without a tag (NAME@sha256-…), as\n" +
			"--older-than and --name say. A hidden signature, or what else no server boots, goes only if what it is about is gone.\n\n" +
			"Then prune removes layers that no image needs, as 'ndock image gc' does.\n\n" +
			examples(
				"ndock image prune --name 'ci/*' --older-than 7d --dry-run",
				"ndock image prune --name 'ci/*' --keep 5 --yes"),
		Flags: slices.Concat(outputFlags(), []cli.Flag{
			&cli.StringFlag{Name: "older-than", Usage: "minimum `AGE` of an image, such as 36h or 7d"},
			&cli.StringSliceFlag{Name: "name", Usage: "`PATTERN` of the image's name, with * and ?"},
			&cli.IntFlag{Name: "keep", Usage: "`NUMBER` of newest images to keep of each repository, which is a name without its tag"},
			&cli.BoolFlag{Name: "dry-run", Usage: "list the images that would be deleted, and delete none"},
			&cli.BoolFlag{Name: "yes", Usage: "do not ask for confirmation"},
		}),
		Action: func(c *cli.Context) error { return imagePrune(c, s) },
	}
}

func imagePrune(c *cli.Context, s Streams) error {
	options, err := pruneOptions(c)
	if err != nil {
		return err
	}
	if err := outputStyle(c).Check(pruneHeaders); err != nil {
		return err
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	images, err := cloud.Prunable(c.Context, options)
	if err != nil {
		return err
	}
	if c.Bool("dry-run") {
		return errors.Join(listPruned(c, s, images), collectAfterPrune(c, s, cloud, images))
	}
	if len(images) > 0 {
		if err := confirmed(c, s, fmt.Sprintf("Delete %d images from Glance, %s and others?", len(images), images[0].Name)); err != nil {
			return err
		}
	}
	deleted, failed := cloud.DeleteImages(c.Context, images)
	listed := listPruned(c, s, deleted)
	if c.Context.Err() == nil {
		failed = errors.Join(failed, collectAfterPrune(c, s, cloud, nil))
	}
	return errors.Join(listed, failed)
}

// collectAfterPrune removes layers that no image needs, or tells in a dry run which it would when these images are deleted.
// Images are pruned also where that fails: then it says so, and returns an error only of an interruption.
func collectAfterPrune(c *cli.Context, s Streams, cloud *openstack.Cloud, without []openstack.Image) error {
	report := newProgress(c, s)
	collected, err := cloud.CollectLayers(c.Context, openstack.CollectOptions{
		ListReader: listReader(report), Age: 24 * time.Hour, Now: time.Now(), DryRun: c.Bool("dry-run"), Without: without,
	})
	if len(collected) > 0 {
		report.Step("%s", summary(collected, c.Bool("dry-run")))
	}
	if c.Context.Err() != nil {
		return err
	}
	if err != nil {
		warnings(c)(fmt.Sprintf("layers that no image needs were not all removed: %s; 'ndock image gc' tries again", err))
	}
	return nil
}

func listPruned(c *cli.Context, s Streams, images []openstack.Image) error {
	var rows [][]any
	for _, image := range images {
		rows = append(rows, []any{image.ID, image.Name, image.Status, image.Size, image.Created})
	}
	return outputStyle(c).List(s.Out, pruneHeaders, rows)
}

var pruneHeaders = []string{"ID", "Name", "Status", "Size", "Created"}

func pruneOptions(c *cli.Context) (openstack.PruneOptions, error) {
	options := openstack.PruneOptions{Names: c.StringSlice("name"), Keep: c.Int("keep"), Now: time.Now()}
	if _, err := exactly(c); err != nil {
		return options, err
	}
	var err error
	if options.OlderThan, err = leastAge(c, "older-than"); err != nil {
		return options, err
	}
	switch {
	case !c.IsSet("older-than") && !c.IsSet("name") && !c.IsSet("keep"):
		return options, misused(c, "which images? Give --older-than, --name or --keep")
	case options.Keep < 0:
		return options, misused(c, "--keep %d is not a number of images", options.Keep)
	}
	if err := options.Check(); err != nil {
		return options, misused(c, "--name: %s", err)
	}
	return options, nil
}

// leastAge reads a duration that may be in days.
func leastAge(c *cli.Context, flag string) (time.Duration, error) {
	text := c.String(flag)
	if text == "" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 100_000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, misused(c, "--%s %q is no age; 36h and 7d are", flag, text)
	}
	return d, nil
}
