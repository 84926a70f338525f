package commands

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"ndock/registry/deploy"
)

func registryStatusCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "Show where the registry is, and whether it runs",
		Description: "The exit status is 1 if the registry does not run. It warns on stderr of a certificate that is about to expire.\n\n" +
			examples(
				"ndock registry status",
				"ndock registry status -f value -c URL"),
		Flags:  outputFlags(),
		Action: func(c *cli.Context) error { return registryStatus(c, s) },
	}
}

func registryStatus(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	if err := outputStyle(c).Check(registryColumns()); err != nil {
		return err
	}
	return withRegistryHost(c, func(host deploy.Host) error {
		status, err := deploy.Find(c.Context, host)
		if err != nil {
			return err
		}
		if err := outputStyle(c).Show(s.Out, registryFields(status)); err != nil {
			return err
		}
		for _, warning := range status.Warnings(time.Now()) {
			fmt.Fprintln(s.Err, "warning: "+warning)
		}
		return status.CheckRunning()
	})
}
