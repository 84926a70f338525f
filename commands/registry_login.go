package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/registry/auth/htpasswd"
	"ndock/registry/deploy"
)

func registryLoginAddCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "login-add",
		Usage:     "Add a login to the registry, or change its password",
		ArgsUsage: "NAME",
		Description: "The registry knows the login at once. Only a hash of the password is kept.\n\n" +
			examples(
				"ndock registry login-add --password-stdin ci < password",
				"ndock registry login-add --password-stdin --htpasswd users ci < password"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "password-stdin", Usage: "read the password from stdin"},
			htpasswdFlag(),
		},
		Action: func(c *cli.Context) error { return registryLoginAdd(c, s) },
	}
}

func registryLoginRemoveCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "login-remove",
		Usage:     "Remove a login from the registry",
		ArgsUsage: "NAME",
		Description: "The registry refuses the login at once. The last login cannot be removed. It succeeds if there is no such login.\n\n" +
			examples(
				"ndock registry login-remove ci",
				"ndock registry login-remove --htpasswd users ci"),
		Flags:  []cli.Flag{htpasswdFlag()},
		Action: func(c *cli.Context) error { return registryLoginRemove(c, s) },
	}
}

func htpasswdFlag() cli.Flag {
	return &cli.PathFlag{Name: "htpasswd", Usage: "`FILE` of the users", DefaultText: "that of the registry of this host"}
}

func registryLoginAdd(c *cli.Context, s Streams) error {
	args, err := exactly(c, "NAME")
	if err != nil {
		return err
	}
	if !c.Bool("password-stdin") {
		return misused(c, "--password-stdin is missing: the password is read from stdin")
	}
	if err := htpasswd.CheckUser(args[0]); err != nil {
		return misused(c, "%s", err)
	}
	password, err := readPassword(c, s)
	if err != nil {
		return err
	}
	return withLogins(c, func(at htpasswd.Logins) error {
		return htpasswd.AddLogin(c.Context, at, args[0], password, newProgress(c, s))
	})
}

func registryLoginRemove(c *cli.Context, s Streams) error {
	args, err := exactly(c, "NAME")
	if err != nil {
		return err
	}
	return withLogins(c, func(at htpasswd.Logins) error {
		return htpasswd.RemoveLogin(c.Context, at, args[0], newProgress(c, s))
	})
}

func withLogins(c *cli.Context, do func(htpasswd.Logins) error) error {
	if file := c.Path("htpasswd"); file != "" {
		return do(htpasswd.File(file))
	}
	return withRegistryHost(c, func(host deploy.Host) error { return do(deploy.Logins(host)) })
}
