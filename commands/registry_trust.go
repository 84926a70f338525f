package commands

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"ndock/registry/trust"
)

func registryTrustCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "trust",
		Usage:     "Have Docker on this host trust a registry",
		ArgsUsage: "HOST:PORT",
		Description: "Puts the registry's CA where Docker looks for it; nothing has to be restarted. Without --ca, ndock takes the CA that\n" +
			"the registry shows, if it has the fingerprint of --fingerprint, or if you confirm it. 'ndock registry status' shows the\n" +
			"fingerprint on the registry's host.\n\n" +
			examples(
				"ndock registry trust 192.0.2.10:5050 --ca ca.crt",
				"ndock registry trust 192.0.2.10:5050 --remove"),
		Flags: []cli.Flag{
			&cli.PathFlag{Name: "ca", Usage: "PEM `FILE` with the CA"},
			&cli.StringFlag{Name: "fingerprint", Usage: "fingerprint `sha256:HEX` of the CA that the registry must show"},
			&cli.BoolFlag{Name: "mirror", Usage: "have Docker ask the registry before Docker Hub, by a line in /etc/docker/daemon.json"},
			&cli.BoolFlag{Name: "remove", Usage: "remove the trust, and the mirror"},
			&cli.BoolFlag{Name: "dry-run", Usage: "print what would be changed, and change nothing"},
		},
		Action: func(c *cli.Context) error { return registryTrust(c, s) },
	}
}

func registryTrust(c *cli.Context, s Streams) error {
	args, err := exactly(c, "HOST:PORT")
	if err != nil {
		return err
	}
	options := trust.Options{
		Registry: args[0], CAFile: c.Path("ca"), Fingerprint: c.String("fingerprint"), Mirror: c.Bool("mirror"), Remove: c.Bool("remove"),
		Agree: func(question string) error { return askOnTerminal(c, s, question, "give --ca or --fingerprint") },
	}
	if err := options.Check(); err != nil {
		return misused(c, "%s", err)
	}
	engine, err := engineClient(c)
	if err != nil {
		return err
	}
	defer engine.Close()
	changes, err := trust.Plan(c.Context, engine, options)
	if err != nil {
		return err
	}
	return trustChanges(c, s, changes)
}

func trustChanges(c *cli.Context, s Streams, changes []trust.Change) error {
	report := newProgress(c, s)
	if len(changes) == 0 {
		report.Step("all is up to date; nothing to do")
	}
	if !c.Bool("dry-run") {
		return trust.Apply(c.Context, changes, report)
	}
	for _, change := range changes {
		fmt.Fprintln(s.Out, change.What)
	}
	return nil
}
