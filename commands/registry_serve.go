package commands

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"ndock/registry/config"
	"ndock/registry/serve"
)

func registryServeCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "Run a registry in the foreground",
		Description: "This is what 'ndock registry deploy' runs in a container or as a service; it needs no Docker. It logs a line for each\n" +
			"request on stderr. On SIGTERM it finishes the requests under way, in at most 25 seconds. It reads the certificate again\n" +
			"when the file changes, and on SIGHUP.\n\n" +
			examples(
				"ndock registry serve --data /srv/registry --tls-cert host.crt --tls-key host.key --htpasswd users",
				"ndock registry serve --data /srv/mirror --proxy https://registry-1.docker.io",
				"ndock registry serve --glance --keystone https://cloud.example/identity/v3 --tls-cert host.crt --tls-key host.key"),
		Flags: slices.Concat(registryFlags(), registryServiceFlags(), []cli.Flag{
			&cli.PathFlag{Name: "data", Usage: "`DIRECTORY` for the images; made if missing"},
			&cli.PathFlag{Name: "tls-next", Usage: "PEM `FILE` with later certificates, each before its key, which replace that of --tls-cert in time"},
			&cli.PathFlag{Name: "htpasswd", Usage: "`FILE` of the users who may push and pull, as 'htpasswd -B' writes it", DefaultText: "anyone may"},
			&cli.PathFlag{Name: "control", Usage: "unix `SOCKET` for 'ndock registry gc', which its owner and root may use", DefaultText: "none"},
			&cli.BoolFlag{Name: "insecure", Usage: "serve plain HTTP even to other hosts, and allow it for Keystone"},
		}),
		Action: func(c *cli.Context) error { return registryServe(c, s) },
	}
}

func registryServe(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	options, err := serveOptions(c, s)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	options.Reload = hangup
	return serve.Serve(c.Context, options)
}

func serveOptions(c *cli.Context, s Streams) (config.Options, error) {
	options, err := registryOptions(c)
	if err != nil {
		return options, err
	}
	options.Data, options.NextFile, options.Htpasswd, options.Control = c.Path("data"), c.Path("tls-next"), c.Path("htpasswd"), c.Path("control")
	options.Log, options.OpenGlance = newLog(c, s), openGlance
	options.Listening = func(what, url string) { fmt.Fprintf(s.Err, "serving %s on %s\n", what, url) }
	if err := options.Check(); err != nil {
		return options, misused(c, "%s", err)
	}
	return options, nil
}
