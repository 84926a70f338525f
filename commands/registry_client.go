package commands

import (
	"fmt"
	"net/url"
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
	engine, err := engineClient(c)
	if err != nil {
		return "", false, err
	}
	defer engine.Close()
	status, err := deploy.Find(c.Context, deploy.Host{Engine: engine})
	if err != nil {
		return "", false, err
	}
	at, err := url.Parse(status.URL)
	switch {
	case status.State != deploy.Running:
		return "", false, &notServing{state: status.State, kind: status.Kind}
	case err != nil:
		return "", false, fmt.Errorf("ask the registry: %w", err)
	}
	return at.Host, at.Scheme == "http", nil // as it was deployed
}
