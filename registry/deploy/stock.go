package deploy

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	dockerregistry "github.com/docker/docker/api/types/registry"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"ndock/registry"
	"ndock/registry/config"
)

// A stock registry is distribution's own program, in an image that the operator names. What ndock puts around
// distribution it has not.

const ownDoes = "only ndock's own registry does that: leave --image out"

// checkStock refuses what a stock registry cannot do.
func (o Options) checkStock() error {
	if o.Image == "" {
		return nil
	}
	for _, one := range []struct {
		said bool
		flag string
	}{
		{o.Service, "--systemd"},
		{o.Keystone.URL != "", "--keystone"},
		{o.MaxBlobSize > 0, "--max-blob-size"},
		{o.MaxUploads > 0, "--max-uploads"},
		{o.Quota > 0, "--quota"},
		{o.MaxOpenUploads > 0, "--max-open-uploads"},
		{o.MaxConnections > 0, "--max-connections"},
		{o.MaxConnectionsPerClient > 0, "--max-connections-per-client"},
	} {
		if one.said {
			return fmt.Errorf("%s and --image exclude each other: %s", one.flag, ownDoes)
		}
	}
	_, err := parseImage(o.Image)
	return err
}

// forStock refuses what a file asks of a stock registry that it cannot do.
func (d *deployment) forStock(c *configuration.Configuration) error {
	if d.Image != "" && c.Auth["keystone"] != nil {
		return &registry.Error{Err: errors.New("auth.keystone is not supported by the registry of --image"), Help: ownDoes}
	}
	return nil
}

// parseImage returns an image's name as Docker shows it, with its tag or its digest; an id stays what it is.
func parseImage(text string) (string, error) {
	found, err := reference.ParseAnyReference(text)
	if _, named := found.(reference.Named); err == nil && named {
		found, err = reference.ParseDockerRef(text) // of a tag and a digest, the digest
	}
	if err != nil {
		return "", fmt.Errorf("--image %q is not the name of an image: %w", text, err)
	}
	return reference.FamiliarString(found), nil
}

// ensureStock finds the operator's image in the engine, which pulls it if it has none of that name.
func (d *inContainer) ensureStock(ctx context.Context) (err error) {
	if d.image, err = parseImage(d.Image); err != nil {
		return err
	}
	found, err := d.engine.ImageInspect(ctx, d.image)
	if errdefs.IsNotFound(err) && !strings.HasPrefix(d.image, "sha256:") {
		if err := pull(ctx, d.engine, d.image, d.Report); err != nil {
			return err
		}
		found, err = d.engine.ImageInspect(ctx, d.image)
	}
	if err != nil {
		return explain("look at image "+d.image, err)
	}
	if found.Config == nil || len(found.Config.Entrypoint) == 0 {
		return &registry.Error{Op: "use image " + d.image, Err: errors.New("it has no entrypoint, as images of a registry have"), Help: "give --image docker.io/library/registry:3, or leave it out"}
	}
	d.stockID = found.ID
	return nil
}

func pull(ctx context.Context, engine Engine, ref string, report registry.Reporter) error {
	report.Step("pulling image %s", ref)
	err := pullAs(ctx, engine, ref, func(id, status string) {
		switch {
		case id == "":
			report.Step("%s", status)
		case status == "Pull complete":
			report.Step("%s: %s", id, status)
		}
	})
	if err == nil {
		return nil
	}
	err = explain("pull image "+ref, err)
	var known *registry.Error
	if errors.As(err, &known) && known.Help == "" {
		known.Help = "log in with 'docker login' if its registry asks for that, or 'docker load' it; without --image nothing is pulled"
	}
	return err
}

// pullAs pulls as docker does: with docker's login at the image's registry, if there is one.
func pullAs(ctx context.Context, engine Engine, ref string, tell func(id, status string)) error {
	login, err := loginFor(ref)
	if err != nil {
		return err
	}
	answer, err := engine.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: login})
	if err != nil {
		return err
	}
	defer answer.Close()
	return followed(answer, tell)
}

// loginFor is what ~/.docker/config.json and its helpers have for the image's registry, as the engine wants it.
func loginFor(ref string) (string, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return "", err
	}
	who, err := authn.DefaultKeychain.Resolve(parsed.Context())
	if err != nil {
		return "", fmt.Errorf("read docker's logins: %w", err)
	}
	said, err := who.Authorization()
	if err != nil {
		return "", fmt.Errorf("read docker's login for %s: %w", parsed.Context().RegistryStr(), err)
	}
	return dockerregistry.EncodeAuthConfig(dockerregistry.AuthConfig{
		Username: said.Username, Password: said.Password, Auth: said.Auth, IdentityToken: said.IdentityToken, RegistryToken: said.RegistryToken,
		ServerAddress: parsed.Context().RegistryStr(),
	})
}

// stock makes it the spec of a stock registry, of the image with this id.
func (s spec) stock(id string) spec {
	s.Config.Cmd = []string{"serve", configDir + "/" + fileConfig}   // to "registry" as to /entrypoint.sh
	s.Config.User = "0:0"                                            // who alone can read the config volume
	s.Config.Env = append(s.Config.Env, "OTEL_TRACES_EXPORTER=none") // where 3.0 would otherwise send them, nobody listens
	s.Host.Tmpfs = nil                                               // it has no control socket
	delete(s.Config.Labels, labelBinary)
	delete(s.Config.Labels, labelSpec)
	s.Config.Labels[labelImage] = id
	s.Config.Labels[labelSpec] = s.digest()
	return s
}

// tellStock says in the configuration what ndock does by itself, as far as a stock registry can do it.
func (o Options) tellStock(c *configuration.Configuration) {
	if c.HTTP.DrainTimeout == 0 {
		c.HTTP.DrainTimeout = config.DefaultDrain
	}
	if c.HTTP.Debug.Addr != "" {
		c.HTTP.Debug.Prometheus.Enabled, c.Health.StorageDriver.Enabled = true, true
	}
	if _, ok := c.Storage["redirect"]; !ok {
		c.Storage["redirect"] = configuration.Parameters{"disable": true}
	}
	if o.LogFormat == "json" {
		c.Log.Formatter, c.Log.AccessLog.Disabled = "json", true // which has a format of its own, and the log says it all
	}
}

// fatal is a line by which a stock registry says that it ends.
var fatal = regexp.MustCompile(`^(configuration error|panic): |level=(fatal|panic) |"level":"(fatal|panic)"`)

// stockWords is why a stock registry ended: what it said before it printed its usage or Go's stacks.
func stockWords(log string) string {
	for line := range strings.Lines(log) {
		if fatal.MatchString(line) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// cannotCollect is for a stock registry, whose own collection takes that nobody pushes meanwhile.
func cannotCollect(ref string) error {
	return &registry.Error{
		Err: fmt.Errorf("that of image %s cannot while it serves", ref),
		Help: "deploy it with a --config that says storage.maintenance.readonly.enabled: true, then 'docker exec " + containerName +
			" registry garbage-collect " + configDir + "/" + fileConfig + "', then deploy it as before",
	}
}
