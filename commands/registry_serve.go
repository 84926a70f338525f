package commands

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"ndock/registry"
)

func registryServeCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "Serve a registry in the foreground, until told to end",
		Description: "What 'ndock registry deploy' runs in a container; it needs no Docker. It logs a line a request to stderr. On\n" +
			"SIGTERM it ends when the requests under way have, 25 seconds later at most.\n\n" +
			"Example: ndock registry serve --data /srv/registry --tls-cert host.crt --tls-key host.key --htpasswd users",
		Flags: append(registryFlags(),
			&cli.PathFlag{Name: "config", Usage: "`FILE` in the format of distribution, the registry of the CNCF; what flags say goes first"},
			&cli.PathFlag{Name: "data", Usage: "`DIR` for what is pushed; made if missing"},
			&cli.PathFlag{Name: "htpasswd", Usage: "`FILE` of those who may push and pull, from 'htpasswd -B'; anyone may without"},
			&cli.BoolFlag{Name: "insecure", Usage: "plain HTTP even where other hosts see it"}),
		Action: func(c *cli.Context) error { return registryServe(c, s) },
	}
}

func registryServe(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	listen := c.String("listen")
	if c.IsSet("config") && !c.IsSet("listen") {
		listen = "" // the file says where, or it is the default
	}
	options := registry.ServeOptions{
		Config: c.Path("config"), Listen: listen, Data: c.Path("data"), CertFile: c.Path("tls-cert"), KeyFile: c.Path("tls-key"),
		Htpasswd: c.Path("htpasswd"), Insecure: c.Bool("insecure"), Log: newLog(c, s),
		Listening: func(url string) { fmt.Fprintf(s.Err, "serving a registry on %s\n", url) },
	}
	if err := options.Check(); err != nil {
		return misused(c, "%s", err)
	}
	return registry.Serve(c.Context, options)
}
