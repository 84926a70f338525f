package commands

import (
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/docker/image"
	"ndock/openstack"
)

func imageCopyCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "copy",
		Usage:     "Copy a Docker image between an engine, registries, archives and Glance",
		ArgsUsage: "SOURCE DEST",
		Description: "Streams the image, and verifies it on the way. What the destination already has is not sent again.\n\n" +
			transportsText + "\n\n" +
			examples(
				"ndock image copy docker://registry.example.com/web:1 oci:web:1",
				"ndock image copy glance:web docker://127.0.0.1:5050/site/web:1"),
		Flags:  slices.Concat(outputFlags(), pushFlags(), sendFlags(), transportsFlags()),
		Action: func(c *cli.Context) error { return imageCopy(c, s) },
	}
}

func imageCopy(c *cli.Context, s Streams) error {
	args, err := exactly(c, "SOURCE", "DEST")
	if err != nil {
		return err
	}
	return copyNamed(c, s, args[0], args[1])
}

// copyNamed copies from any place to any other.
func copyNamed(c *cli.Context, s Streams, from, to string) error {
	source, err := reference(c, from)
	if err != nil {
		return err
	}
	dest, err := reference(c, to)
	if err != nil {
		return err
	}
	if err := checkDest(c, dest); err != nil {
		return err
	}
	if dest.Transport == image.Glance {
		return copyToGlance(c, s, source, dest)
	}
	if err := outputStyle(c).Check(output.Names(copyFields(image.Stored{}))); err != nil {
		return err
	}
	transports, err := transports(c, s)
	if err != nil {
		return err
	}
	return copyImage(c, s, withGlance(transports, openCloudOnce(c, s)), source, dest)
}

// copyToGlance is a push of a name that is given as a place.
func copyToGlance(c *cli.Context, s Streams, source, dest image.Reference) error {
	return pushGlance(c, s, []image.Reference{source}, openstack.ImageName(dest.Name), 1)
}

// copyImage copies an image to any place but Glance.
func copyImage(c *cli.Context, s Streams, transports image.Transports, from, to image.Reference) error {
	report := newProgress(c, s)
	transports.Notice = func(text string) { report.Step("%s", text) }
	source, err := transports.Find(c.Context, from)
	if err != nil {
		return err
	}
	transports.Retrying = func(err error, pause time.Duration) {
		report.Step("%s; trying again in %s", output.Line(err.Error()), pause)
	}
	transfer := report.Transfer("copy "+from.String(), source.Size)
	stored, err := transports.Store(c.Context, source, to, transfer)
	transfer.End(err)
	if err != nil {
		return err
	}
	if stored.Existed {
		report.Step("image %q is there already, as %q; --force sends it again", from, to)
	}
	if to.ToStdout() {
		return nil
	}
	return outputStyle(c).Show(s.Out, copyFields(stored))
}

func copyFields(stored image.Stored) []output.Field {
	return []output.Field{
		{Name: "Image", Value: stored.String()},
		{Name: "Digest", Value: orNone(stored.Digest)},
	}
}
