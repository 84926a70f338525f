package commands

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"ndock/registry/auth/htpasswd"
	"ndock/registry/deploy"
)

func registryDeployCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "deploy",
		Usage: "Run the registry as a container or a service of this host",
		Description: "The container's image is made from this ndock program, so nothing is pulled. Images are kept in the volume\n" +
			"ndock-registry; keys and passwords are in the volume ndock-registry-config, which only root can read. Without\n" +
			"--tls-cert, ndock makes certificates and a CA. Docker on this host then trusts the CA; other hosts need a copy of it.\n\n" +
			"Deploying again with the same options changes nothing. With other options the container is replaced, and images, CA\n" +
			"and logins are kept: --user adds a login. An option that is not given again has its default.\n\n" +
			"With --systemd the registry is the service ndock-registry of this host, and needs no Docker. It runs this ndock\n" +
			"program as a user of its own, with images in /var/lib/ndock-registry and settings in /etc/ndock-registry.\n\n" +
			"With --glance the images are in Glance, in the projects of Keystone's users, and nothing is stored here: what is\n" +
			"pushed boots, and what is in Glance in layers can be pulled.\n\n" +
			examples(
				"ndock registry deploy --listen 0.0.0.0:5050 --user ci --password-stdin < password",
				"ndock registry deploy --systemd --listen 127.0.0.1:5050 --quota 50g",
				"ndock registry deploy --listen 0.0.0.0:5050 --glance --keystone https://cloud.example/identity/v3"),
		Flags: slices.Concat(registryFlags(), registryServiceFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "systemd", Usage: "run the registry as a service of this host, without Docker"},
			&cli.StringSliceFlag{Name: "tls-name", Usage: "further `NAME` or address in the certificate that is made"},
			&cli.BoolFlag{Name: "insecure", Usage: "serve plain HTTP, which can be read on the way"},
			&cli.StringFlag{Name: "user", Usage: "`NAME` of a user who may push and pull", DefaultText: "anyone may"},
			&cli.BoolFlag{Name: "password-stdin", Usage: "read the user's password from stdin"},
		}, outputFlags()),
		Action: func(c *cli.Context) error { return registryDeploy(c, s) },
	}
}

func registryDeploy(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	options, err := deployOptions(c, s)
	if err != nil {
		return err
	}
	if err := outputStyle(c).Check(registryColumns()); err != nil {
		return err
	}
	return withRegistryHost(c, func(host deploy.Host) error {
		status, err := deploy.Run(c.Context, host, options)
		if err != nil {
			return err
		}
		return outputStyle(c).Show(s.Out, registryFields(status))
	})
}

func deployOptions(c *cli.Context, s Streams) (deploy.Options, error) {
	options := deploy.Options{
		Service: c.Bool("systemd"), Names: c.StringSlice("tls-name"), User: c.String("user"),
		S3Keys:    deploy.S3Keys{Access: os.Getenv("AWS_ACCESS_KEY_ID"), Secret: os.Getenv("AWS_SECRET_ACCESS_KEY")},
		LogFormat: c.String("log-format"), Version: version(), Report: newProgress(c, s),
	}
	var err error
	if options.Options, err = registryOptions(c); err != nil {
		return options, err
	}
	if options.Password, err = registryPassword(c, s); err != nil {
		return options, err
	}
	if err := options.Check(); err != nil {
		return options, misused(c, "%s", err)
	}
	return options, nil
}

// registryPassword is the one of --user.
func registryPassword(c *cli.Context, s Streams) (string, error) {
	switch {
	case c.IsSet("user") && !c.Bool("password-stdin"):
		return "", misused(c, "--user needs --password-stdin: the password is read from stdin")
	case !c.IsSet("user") && c.Bool("password-stdin"):
		return "", misused(c, "--password-stdin needs --user: whose password is it?")
	case !c.IsSet("user"):
		return "", nil
	}
	return readPassword(c, s)
}

// readPassword reads it as docker login does: all of stdin but the line's end.
func readPassword(c *cli.Context, s Streams) (string, error) {
	text, err := io.ReadAll(io.LimitReader(s.In, 4096))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case password == "":
		return "", misused(c, "the password on stdin is empty")
	case len(password) > htpasswd.MaxPassword:
		return "", misused(c, "the password is longer than %d bytes", htpasswd.MaxPassword)
	}
	return password, nil
}
