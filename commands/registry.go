package commands

import (
	"time"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/registry/deploy"
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

// registryServiceFlags are what a registry can do besides, in a container or not.
func registryServiceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.PathFlag{Name: "config", Usage: "`FILE` in the format of distribution, the registry of the CNCF; what flags say goes first"},
		&cli.StringFlag{Name: "s3-bucket", Usage: "store in this `BUCKET` instead; the keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"},
		&cli.StringFlag{Name: "s3-endpoint", Usage: "`URL` of the S3 service; Amazon's without"},
		&cli.StringFlag{Name: "s3-region", Value: "us-east-1", Usage: "`REGION` of the bucket"},
		&cli.StringFlag{Name: "s3-prefix", Usage: "`PATH` in the bucket below which all is stored"},
		&cli.StringFlag{Name: "proxy", Usage: "`URL` of a registry that this one is a pull-through cache of; nothing can be pushed then"},
		&cli.StringFlag{Name: "proxy-user", Usage: "`NAME` of the login there"},
		&cli.PathFlag{Name: "proxy-password-file", Usage: "`FILE` with its password"},
		&cli.BoolFlag{Name: "proxy-public", Usage: "anyone may read here what --proxy-user may read there"},
		&cli.StringFlag{Name: "metrics", Usage: "serve /metrics and /healthz on `HOST:PORT`"},
		&cli.StringFlag{Name: "max-blob-size", Usage: "the largest layer that is taken, `SIZE` such as 10g; any size without"},
		&cli.IntFlag{Name: "max-uploads", Usage: "how many layers are taken at a time, `COUNT`; any number without"},
		&cli.StringFlag{Name: "quota", Usage: "the most that the repositories of one namespace (the first part of their names, a project) take together, `SIZE` such as 50g; any size without"},
		&cli.IntFlag{Name: "max-open-uploads", Usage: "how many uploads one namespace may have that are not complete, `COUNT`; 1000 without"},
		&cli.IntFlag{Name: "max-connections", Usage: "how many connections are open at a time, `COUNT`; 4096 without"},
		&cli.IntFlag{Name: "max-connections-per-client", Usage: "how many of them one address may have, `COUNT`; 512 without"},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "`FORMAT` of the log: text or json"},
		&cli.StringFlag{Name: "keystone", Usage: "`URL` of the Keystone whose users may push and pull, in their projects' repositories"},
		&cli.PathFlag{Name: "keystone-cacert", Usage: "PEM `FILE` with Keystone's CA"},
		&cli.StringFlag{Name: "keystone-domain", Usage: "`NAME` of the domain of users and projects that name none; Default without"},
		&cli.StringFlag{Name: "keystone-read", Usage: "`WHO` may read other projects' repositories and the catalog: none, authenticated, anyone; none without"},
		&cli.StringSliceFlag{Name: "keystone-push-role", Usage: "`NAME` of a role with which one may push; again for more; member and admin without"},
	}
}

func registryFields(status deploy.Status) []output.Field {
	return []output.Field{
		{Name: "URL", Value: status.URL},
		{Name: "State", Value: status.State},
		{Name: "Kind", Value: status.Kind},
		{Name: "Image", Value: status.Image},
		{Name: "Data", Value: status.Data},
		{Name: "TLS", Value: status.TLS},
		{Name: "Expires", Value: moment(status.Expires)},
		{Name: "Renewed Until", Value: moment(status.Renewed)},
		{Name: "CA", Value: status.CA},
		{Name: "Users", Value: list(status.Users)},
		{Name: "Since", Value: moment(status.Since)},
	}
}

// registryColumns are known before there is a registry.
func registryColumns() []string { return output.Names(registryFields(deploy.Status{})) }

// moment is empty for what did not happen.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
