package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/docker/image"
)

// checkDest refuses flags that mean nothing where the image goes.
func checkDest(c *cli.Context, dest image.Reference) error {
	if dest.Transport == image.Glance {
		if c.IsSet("name") {
			return misused(c, "--name %q and %q both name the image: give one of them", c.String("name"), dest)
		}
		return nil
	}
	if name := firstSet(c, pushFlags()); name != "" {
		return misused(c, "--%s is for images in Glance, and %q is not there", name, dest)
	}
	if name := firstSet(c, sendFlags()); name != "" && dest.Transport != image.Registry {
		if dest == (image.Reference{Transport: image.Engine}) {
			return misused(c, "--%s is for Glance and registries, and Docker Engine is neither", name)
		}
		return misused(c, "--%s is for Glance and registries, and %q is neither", name, dest)
	}
	return nil
}

// firstSet is the first of the flags that was given.
func firstSet(c *cli.Context, flags []cli.Flag) string {
	for _, flag := range flags {
		if name := flag.Names()[0]; c.IsSet(name) {
			return name
		}
	}
	return ""
}

// retries are those of --retries, or of its default where a command has no such flag.
func retries(c *cli.Context) (int, error) {
	if !c.IsSet("retries") {
		return defaultRetries, nil
	}
	if c.Int("retries") < 0 {
		return 0, misused(c, "--retries %d is not a number of attempts", c.Int("retries"))
	}
	return c.Int("retries"), nil
}
