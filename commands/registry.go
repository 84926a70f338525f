package commands

import (
	"slices"
	"strconv"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/registry/auth/keystone"
	"ndock/registry/config"
	"ndock/registry/deploy"
)

func registryCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "registry",
		Usage: "Run a private registry of Docker images on this host",
		Description: examples(
			"ndock registry deploy --listen 0.0.0.0:5050 --user ci --password-stdin < password",
			"ndock registry list"),
		Subcommands: slices.Concat(
			categorized("Service", registryDeployCommand(s), registryStatusCommand(s), registryRemoveCommand(s), registryServeCommand(s)),
			categorized("Images in a registry", registryListCommand(s), registryShowCommand(s), registryDeleteCommand(s), registryGCCommand(s)),
			categorized("Access", registryLoginAddCommand(s), registryLoginRemoveCommand(s), registryTrustCommand(s), registryDialStdioCommand(s))),
	}
}

// registryFlags are those of a registry, in a container or not.
func registryFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "listen", Value: "127.0.0.1:5050", Usage: "address `HOST:PORT` at which clients reach the registry; 0.0.0.0:PORT for other hosts too"},
		&cli.PathFlag{Name: "tls-cert", Usage: "PEM `FILE` with the registry's certificate, and its chain after it"},
		&cli.PathFlag{Name: "tls-key", Usage: "PEM `FILE` with the certificate's key"},
	}
}

// registryServiceFlags are what a registry can do besides, in a container or not.
func registryServiceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.PathFlag{Name: "config", Usage: "`FILE` with settings in the format of distribution, the CNCF's registry; flags take precedence"},
		&cli.StringFlag{Name: "s3-bucket", Usage: "S3 `BUCKET` for the images; its keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"},
		&cli.StringFlag{Name: "s3-endpoint", Usage: "`URL` of the S3 service", DefaultText: "Amazon's"},
		&cli.StringFlag{Name: "s3-region", Value: "us-east-1", Usage: "`REGION` of the bucket"},
		&cli.StringFlag{Name: "s3-prefix", Usage: "`PATH` in the bucket below which images are stored"},
		&cli.BoolFlag{Name: "glance", Usage: "keep the images in Glance, in the projects of the users; needs --keystone"},
		&cli.StringFlag{Name: "proxy", Usage: "`URL` of a registry of which this one is a pull-through cache; nothing can be pushed then"},
		&cli.StringFlag{Name: "proxy-user", Usage: "`NAME` of the login at that registry"},
		&cli.PathFlag{Name: "proxy-password-file", Usage: "`FILE` with the password of --proxy-user"},
		&cli.BoolFlag{Name: "proxy-public", Usage: "let anyone read here what --proxy-user may read there"},
		&cli.StringFlag{Name: "metrics", Usage: "address `HOST:PORT` of /metrics and /healthz", DefaultText: "none"},
		&cli.StringFlag{Name: "max-blob-size", Usage: "largest `SIZE` of a layer, such as 10g", DefaultText: "unlimited"},
		&cli.IntFlag{Name: "max-uploads", Usage: "largest `NUMBER` of layers that are uploaded at the same time", DefaultText: "unlimited"},
		&cli.StringFlag{Name: "quota", Usage: "largest `SIZE` of all repositories of one namespace, which is the first part of their names; such as 50g", DefaultText: "unlimited"},
		&cli.IntFlag{Name: "max-open-uploads", Usage: "largest `NUMBER` of unfinished uploads of one namespace", DefaultText: strconv.Itoa(config.DefaultOpenUploads)},
		&cli.IntFlag{Name: "max-connections", Usage: "largest `NUMBER` of open connections", DefaultText: strconv.Itoa(config.DefaultConnections)},
		&cli.IntFlag{Name: "max-connections-per-client", Usage: "largest `NUMBER` of open connections of one address", DefaultText: strconv.Itoa(config.DefaultConnectionsPerClient)},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "`FORMAT` of the log: text or json"},
		&cli.StringFlag{Name: "keystone", Usage: "`URL` of a Keystone whose users may push and pull in their projects' repositories"},
		&cli.PathFlag{Name: "keystone-cacert", Usage: "PEM `FILE` with the CA of Keystone, and of Glance"},
		&cli.StringFlag{Name: "keystone-domain", Usage: "`NAME` of the domain of users and projects that name none", DefaultText: "Default"},
		&cli.StringFlag{Name: "keystone-read", Usage: "readers of other projects' repositories and of the catalog, as `WHO`: none, authenticated, anyone", DefaultText: "none"},
		&cli.StringSliceFlag{Name: "keystone-push-role", Usage: "`NAME` of a role that may push", DefaultText: "member and admin"},
		&cli.StringFlag{Name: "keystone-region", Usage: "`NAME` of the region whose Glance has the images", DefaultText: "the only one"},
		&cli.StringFlag{Name: "keystone-interface", Value: "public", Usage: "interface of Glance in Keystone's catalogue, as `WHO`: public, internal, admin"},
	}
}

// registryOptions returns what the flags of both serve and deploy say.
func registryOptions(c *cli.Context) (config.Options, error) {
	options := config.Options{
		Config: c.Path("config"), Listen: registryListen(c), CertFile: c.Path("tls-cert"), KeyFile: c.Path("tls-key"), Insecure: c.Bool("insecure"),
		Keystone: keystoneOptions(c), S3: s3Options(c), Glance: glanceOptions(c), Proxy: proxyOptions(c), Metrics: c.String("metrics"),
	}
	if err := checkLogFormat(c); err != nil {
		return options, err
	}
	var err error
	options.Limits, err = registryLimits(c)
	return options, err
}

// registryListen returns --listen; empty where the file says where, or the default holds.
func registryListen(c *cli.Context) string {
	if c.IsSet("config") && !c.IsSet("listen") {
		return ""
	}
	return c.String("listen")
}

func checkLogFormat(c *cli.Context) error {
	if format := c.String("log-format"); format != "text" && format != "json" {
		return misused(c, "--log-format is text or json, not %q", format)
	}
	return nil
}

func registryLimits(c *cli.Context) (config.Limits, error) {
	limits := config.Limits{
		MaxUploads: c.Int("max-uploads"), MaxOpenUploads: c.Int("max-open-uploads"),
		MaxConnections: c.Int("max-connections"), MaxConnectionsPerClient: c.Int("max-connections-per-client"),
	}
	var err error
	if limits.MaxBlobSize, err = bytesOf(c, "max-blob-size"); err != nil {
		return limits, err
	}
	limits.Quota, err = bytesOf(c, "quota")
	return limits, err
}

func proxyOptions(c *cli.Context) config.ProxyOptions {
	return config.ProxyOptions{URL: c.String("proxy"), User: c.String("proxy-user"), PasswordFile: c.Path("proxy-password-file"), Public: c.Bool("proxy-public")}
}

func s3Options(c *cli.Context) config.S3Options {
	o := config.S3Options{Bucket: c.String("s3-bucket"), Endpoint: c.String("s3-endpoint"), Prefix: c.String("s3-prefix")}
	if o.Bucket != "" || c.IsSet("s3-region") {
		o.Region = c.String("s3-region")
	}
	return o
}

func glanceOptions(c *cli.Context) config.GlanceOptions {
	o := config.GlanceOptions{Used: c.Bool("glance"), Region: c.String("keystone-region")}
	if c.IsSet("keystone-interface") {
		o.Interface = c.String("keystone-interface")
	}
	return o
}

// bytesOf returns a flag's number of bytes, as docker takes them; 0 when it is not given.
func bytesOf(c *cli.Context, flag string) (int64, error) {
	if !c.IsSet(flag) {
		return 0, nil
	}
	n, err := units.RAMInBytes(c.String(flag))
	if err != nil || n <= 0 {
		return 0, misused(c, "--%s %q is not a size such as 10g", flag, c.String(flag))
	}
	return n, nil
}

func keystoneOptions(c *cli.Context) keystone.Options {
	return keystone.Options{
		URL: c.String("keystone"), CACert: c.Path("keystone-cacert"), Domain: c.String("keystone-domain"),
		Read: c.String("keystone-read"), PushRoles: c.StringSlice("keystone-push-role"), Insecure: c.Bool("insecure"),
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
		{Name: "Expires", Value: status.Expires},
		{Name: "Renewed Until", Value: status.Renewed},
		{Name: "CA", Value: status.CA},
		{Name: "Users", Value: list(status.Users)},
		{Name: "Since", Value: status.Since},
	}
}

// registryColumns are known before there is a registry.
func registryColumns() []string { return output.Names(registryFields(deploy.Status{})) }
