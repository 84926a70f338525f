package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/registry"
)

func registryRemoveCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "remove",
		Usage: "Remove the registry from this host's Docker",
		Description: "Removes the container, its image, the login, the certificates, and this host's trust in them. What was pushed\n" +
			"stays in the volume ndock-registry unless --data is given. Removing what is not there succeeds.\n\n" +
			"Example: ndock registry remove --yes",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "yes", Usage: "do not ask"},
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
		question = "Remove the registry of this host, with all that was ever pushed to it?"
	}
	if err := agreed(c, s, question); err != nil {
		return err
	}
	engine, err := engineClient(c)
	if err != nil {
		return err
	}
	defer engine.Close()
	return registry.Remove(c.Context, engine, registry.RemoveOptions{Data: c.Bool("data"), Report: newProgress(c, s)})
}
