package commands

import (
	"github.com/docker/docker/client"
	"github.com/urfave/cli/v2"

	"ndock/docker"
	"ndock/registry/deploy"
)

// engineClient opens Docker Engine as the environment names it.
func engineClient(*cli.Context) (*client.Client, error) { return docker.Open() }

// withRegistryHost does something with the registry of this host, which is a container of the engine or a service.
func withRegistryHost(c *cli.Context, do func(deploy.Host) error) error {
	engine, err := engineClient(c)
	if err != nil {
		return err
	}
	defer engine.Close()
	return do(deploy.Host{Engine: engine})
}
