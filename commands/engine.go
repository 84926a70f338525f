package commands

import (
	"github.com/docker/docker/client"
	"github.com/urfave/cli/v2"

	"ndock/docker"
)

// engineClient opens Docker Engine as the environment names it.
func engineClient(*cli.Context) (*client.Client, error) { return docker.Open() }
