package commands

import (
	"time"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/registry"
)

func registryCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "registry",
		Usage: "A private registry of Docker images on this host",
		Subcommands: []*cli.Command{
			registryDeployCommand(s), registryStatusCommand(s), registryRemoveCommand(s), registryServeCommand(s),
			registryListCommand(s), registryShowCommand(s), registryDeleteCommand(s), registryGCCommand(s),
			registryDialStdioCommand(s),
			registryLoginAddCommand(s), registryLoginRemoveCommand(s), registryTrustCommand(s),
		},
	}
}

// registryFlags are those of a registry, in a container or not.
func registryFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "listen", Value: "127.0.0.1:5050", Usage: "where clients reach it, `HOST:PORT`; 0.0.0.0:PORT for other hosts too"},
		&cli.PathFlag{Name: "tls-cert", Usage: "PEM `FILE` with its certificate, and the chain after it"},
		&cli.PathFlag{Name: "tls-key", Usage: "PEM `FILE` with the certificate's key"},
	}
}

func registryFields(status registry.Status) []output.Field {
	return []output.Field{
		{Name: "URL", Value: status.URL},
		{Name: "State", Value: status.State},
		{Name: "Image", Value: status.Image},
		{Name: "Data", Value: status.Data},
		{Name: "TLS", Value: status.TLS},
		{Name: "Expires", Value: moment(status.Expires)},
		{Name: "CA", Value: status.CA},
		{Name: "Users", Value: list(status.Users)},
		{Name: "Since", Value: moment(status.Since)},
	}
}

// moment is empty for what did not happen.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
