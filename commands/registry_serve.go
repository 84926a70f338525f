package commands

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"ndock/registry/auth/keystone"
	"ndock/registry/config"
	"ndock/registry/serve"
)

func registryServeCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "Run a registry in the foreground",
		Description: "This is what 'ndock registry deploy' runs in a container or as a service; it needs no Docker. It logs a line for each\n" +
			"request on stderr. On SIGTERM it finishes the requests under way, in at most 25 seconds. It reads the certificate again\n" +
			"when the file changes, and on SIGHUP.\n\n" +
			examples(
				"ndock registry serve --data /srv/registry --tls-cert host.crt --tls-key host.key --htpasswd users",
				"ndock registry serve --data /srv/mirror --proxy https://registry-1.docker.io"),
		Flags: slices.Concat(registryFlags(), registryServiceFlags(), []cli.Flag{
			&cli.PathFlag{Name: "data", Usage: "`DIRECTORY` for the images; made if missing"},
			&cli.PathFlag{Name: "tls-next", Usage: "PEM `FILE` with later certificates, each before its key, which replace that of --tls-cert in time"},
			&cli.PathFlag{Name: "htpasswd", Usage: "`FILE` of the users who may push and pull, as 'htpasswd -B' writes it", DefaultText: "anyone may"},
			&cli.PathFlag{Name: "control", Usage: "unix `SOCKET` for 'ndock registry gc', which its owner and root may use", DefaultText: "none"},
			&cli.BoolFlag{Name: "insecure", Usage: "serve plain HTTP even to other hosts, and allow it for Keystone"},
		}),
		Action: func(c *cli.Context) error { return registryServe(c, s) },
	}
}

func registryServe(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	options, err := serveOptions(c, s)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	options.Reload = hangup
	return serve.Serve(c.Context, options)
}

func serveOptions(c *cli.Context, s Streams) (config.Options, error) {
	options := config.Options{
		Config: c.Path("config"), Listen: registryListen(c), Data: c.Path("data"), CertFile: c.Path("tls-cert"), KeyFile: c.Path("tls-key"), NextFile: c.Path("tls-next"),
		Htpasswd: c.Path("htpasswd"), S3: s3Options(c), Insecure: c.Bool("insecure"), Control: c.Path("control"),
		Keystone: keystoneOptions(c), Proxy: proxyOptions(c),
		Metrics: c.String("metrics"), Log: newLog(c, s),
		Listening: func(what, url string) { fmt.Fprintf(s.Err, "serving %s on %s\n", what, url) },
	}
	var err error
	if options.Limits, err = registryLimits(c); err != nil {
		return options, err
	}
	if err := checkLogFormat(c); err != nil {
		return options, err
	}
	if err := options.Check(); err != nil {
		return options, misused(c, "%s", err)
	}
	return options, nil
}

// registryListen is empty where the file says where, or it is the default.
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

// bytesOf is a flag's number of bytes, as docker takes them; 0 when it is not given.
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
