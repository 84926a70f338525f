package commands

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"ndock/registry"
	"ndock/registry/keystone"
)

func registryServeCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "Serve a registry in the foreground, until told to end",
		Description: "What 'ndock registry deploy' runs in a container; it needs no Docker. It logs a line a request to stderr. On\n" +
			"SIGTERM it ends when the requests under way have, 25 seconds later at most.\n\n" +
			"Example: ndock registry serve --data /srv/registry --tls-cert host.crt --tls-key host.key --htpasswd users",
		Flags: append(registryFlags(),
			&cli.PathFlag{Name: "data", Usage: "`DIR` for what is pushed; made if missing"},
			&cli.PathFlag{Name: "htpasswd", Usage: "`FILE` of those who may push and pull, from 'htpasswd -B'; anyone may without"},
			&cli.BoolFlag{Name: "insecure", Usage: "plain HTTP even where other hosts see it; also to Keystone"},
			&cli.StringFlag{Name: "keystone", Usage: "`URL` of the Keystone whose users may push and pull, in their projects' repositories"},
			&cli.PathFlag{Name: "keystone-cacert", Usage: "PEM `FILE` with Keystone's CA"},
			&cli.StringFlag{Name: "keystone-domain", Usage: "`NAME` of the domain of users and projects that name none; Default without"},
			&cli.StringFlag{Name: "keystone-read", Usage: "`WHO` may read other projects' repositories and the catalog: none, authenticated, anyone; none without"},
			&cli.StringSliceFlag{Name: "keystone-push-role", Usage: "`NAME` of a role with which one may push; again for more; member and admin without"}),
		Action: func(c *cli.Context) error { return registryServe(c, s) },
	}
}

func registryServe(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	options := registry.ServeOptions{
		Listen: c.String("listen"), Data: c.Path("data"), CertFile: c.Path("tls-cert"), KeyFile: c.Path("tls-key"),
		Htpasswd: c.Path("htpasswd"), Insecure: c.Bool("insecure"), Log: newLog(c, s),
		Keystone:  keystoneOptions(c),
		Listening: func(url string) { fmt.Fprintf(s.Err, "serving a registry on %s\n", url) },
	}
	if err := options.Check(); err != nil {
		return misused(c, "%s", err)
	}
	return registry.Serve(c.Context, options)
}

func keystoneOptions(c *cli.Context) keystone.Options {
	return keystone.Options{
		URL: c.String("keystone"), CACert: c.Path("keystone-cacert"), Domain: c.String("keystone-domain"),
		Read: c.String("keystone-read"), PushRoles: c.StringSlice("keystone-push-role"), Insecure: c.Bool("insecure"),
	}
}
