package commands

import (
	"strings"

	"github.com/urfave/cli/v2"

	"ndock/docker/image"
	"ndock/registry/client"
	"ndock/registry/deploy"
)

// registryClientFlags are those of commands that ask a registry as docker does.
func registryClientFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "registry", Usage: "`HOST:PORT` of the registry", DefaultText: "the registry of this host"},
		&cli.BoolFlag{Name: "insecure", Usage: "speak to the registry in plain HTTP, or without verifying its certificate"},
	}
}

// openRegistry is the registry that the flags name, spoken to as registries are whose images are copied.
func openRegistry(c *cli.Context) (client.Registry, error) {
	address, insecure, err := registryAddress(c)
	if err != nil {
		return client.Registry{}, err
	}
	return client.Registry{
		Address: address, PlainHTTP: insecure || image.IsLoopback(address),
		Options: image.Remote("ndock/"+version(), image.CertsDir, insecure, defaultRetries, warnings(c)),
	}, nil
}

// registryAddress is what --registry says, or where the registry that was deployed on this host is.
func registryAddress(c *cli.Context) (address string, insecure bool, err error) {
	if address := c.String("registry"); address != "" {
		if strings.ContainsAny(address, "/@") {
			return "", false, misused(c, "--registry %q is not HOST:PORT", address)
		}
		return address, c.Bool("insecure"), nil
	}
	err = withRegistryHost(c, func(host deploy.Host) error {
		address, insecure, err = deploy.Address(c.Context, host)
		return err
	})
	return address, insecure, err
}
