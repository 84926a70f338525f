package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/registry/deploy"
)

func registryRemoveCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "remove",
		Usage: "Remove the registry from this host",
		Description: "Removes the container and its image, or the service, and the logins, the certificates and this host's trust in them.\n" +
			"Images are kept in the volume ndock-registry, or in /var/lib/ndock-registry, unless --data is given. Images in Glance\n" +
			"and in a bucket are kept in any case. It succeeds if there is no registry.\n\n" +
			examples(
				"ndock registry remove --yes",
				"ndock registry remove --data"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "yes", Usage: "do not ask for confirmation"},
			&cli.BoolFlag{Name: "data", Usage: "remove what was pushed, too"},
		},
		Action: func(c *cli.Context) error { return registryRemove(c, s) },
	}
}

func registryRemove(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	question := "Remove the registry of this host, with its login and its certificates?"
	if c.Bool("data") {
		question = "Remove the registry of this host, with all that was ever pushed to it and is stored here?"
	}
	if err := confirmed(c, s, question); err != nil {
		return err
	}
	return withRegistryHost(c, func(host deploy.Host) error {
		return deploy.Remove(c.Context, host, deploy.RemoveOptions{Data: c.Bool("data"), Report: newProgress(c, s)})
	})
}
