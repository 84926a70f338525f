package commands

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"ndock/registry"
	"ndock/registry/keystone"
)

func registryServeCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "Serve a registry in the foreground, until told to end",
		Description: "What 'ndock registry deploy' runs in a container; it needs no Docker. It logs a line a request to stderr. On\n" +
			"SIGTERM it ends when the requests under way have, 25 seconds later at most. A certificate that changes, or\n" +
			"SIGHUP, has it read the certificate again.\n\n" +
			"Example: ndock registry serve --data /srv/registry --tls-cert host.crt --tls-key host.key --htpasswd users",
		Flags: append(registryFlags(),
			&cli.PathFlag{Name: "config", Usage: "`FILE` in the format of distribution, the registry of the CNCF; what flags say goes first"},
			&cli.PathFlag{Name: "data", Usage: "`DIR` for what is pushed; made if missing"},
			&cli.StringFlag{Name: "s3-bucket", Usage: "store in this `BUCKET` instead; the keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"},
			&cli.StringFlag{Name: "s3-endpoint", Usage: "`URL` of the S3 service; Amazon's without"},
			&cli.StringFlag{Name: "s3-region", Value: "us-east-1", Usage: "`REGION` of the bucket"},
			&cli.StringFlag{Name: "s3-prefix", Usage: "`PATH` in the bucket below which all is stored"},
			&cli.PathFlag{Name: "htpasswd", Usage: "`FILE` of those who may push and pull, from 'htpasswd -B'; anyone may without"},
			&cli.PathFlag{Name: "control", Usage: "unix `SOCKET`, for its owner and root, on which 'registry gc' asks; none without"},
			&cli.StringFlag{Name: "proxy", Usage: "`URL` of a registry that this one is a pull-through cache of; nothing can be pushed then"},
			&cli.StringFlag{Name: "proxy-user", Usage: "`NAME` of the login there"},
			&cli.PathFlag{Name: "proxy-password-file", Usage: "`FILE` with its password"},
			&cli.StringFlag{Name: "metrics", Usage: "serve /metrics and /healthz on `HOST:PORT`"},
			&cli.StringFlag{Name: "max-blob-size", Usage: "the largest layer that is taken, `SIZE` such as 10g; any size without"},
			&cli.IntFlag{Name: "max-uploads", Usage: "how many layers are taken at a time, `COUNT`; any number without"},
			&cli.StringFlag{Name: "log-format", Value: "text", Usage: "`FORMAT` of the log: text or json"},
			&cli.BoolFlag{Name: "insecure", Usage: "plain HTTP even where other hosts see it; also to Keystone"},
			&cli.StringFlag{Name: "keystone", Usage: "`URL` of the Keystone whose users may push and pull, in their projects' repositories"},
			&cli.PathFlag{Name: "keystone-cacert", Usage: "PEM `FILE` with Keystone's CA"},
			&cli.StringFlag{Name: "keystone-domain", Usage: "`NAME` of the domain of users and projects that name none; Default without"},
			&cli.StringFlag{Name: "keystone-read", Usage: "`WHO` may read other projects' repositories and the catalog: none, authenticated, anyone; none without"},
			&cli.StringSliceFlag{Name: "keystone-push-role", Usage: "`NAME` of a role with which one may push; again for more; member and admin without"}),
		Action: func(c *cli.Context) error { return registryServe(c, s) },
	}
}

func registryServe(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	listen := c.String("listen")
	if c.IsSet("config") && !c.IsSet("listen") {
		listen = "" // the file says where, or it is the default
	}
	largest, err := bytesOf(c, "max-blob-size")
	if err != nil {
		return err
	}
	if format := c.String("log-format"); format != "text" && format != "json" {
		return misused(c, "--log-format is text or json, not %q", format)
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	options := registry.ServeOptions{
		Config: c.Path("config"), Listen: listen, Data: c.Path("data"), CertFile: c.Path("tls-cert"), KeyFile: c.Path("tls-key"),
		Htpasswd: c.Path("htpasswd"), S3: s3Options(c), Insecure: c.Bool("insecure"), Control: c.Path("control"),
		Keystone: keystoneOptions(c),
		Proxy:    registry.ProxyOptions{URL: c.String("proxy"), User: c.String("proxy-user"), PasswordFile: c.Path("proxy-password-file")},
		Metrics:  c.String("metrics"), MaxBlobSize: largest, MaxUploads: c.Int("max-uploads"), Log: newLog(c, s), Reload: hangup,
		Listening: func(what, url string) { fmt.Fprintf(s.Err, "serving %s on %s\n", what, url) },
	}
	if err := options.Check(); err != nil {
		return misused(c, "%s", err)
	}
	return registry.Serve(c.Context, options)
}

func s3Options(c *cli.Context) registry.S3Options {
	o := registry.S3Options{Bucket: c.String("s3-bucket"), Endpoint: c.String("s3-endpoint"), Prefix: c.String("s3-prefix")}
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
