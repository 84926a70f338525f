package commands

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"ndock/docker"
	"ndock/docker/archive"
	"ndock/docker/image"
	"ndock/openstack"
)

// transportsText explains the names of images, in a command's description.
const transportsText = "An image is named as skopeo names it:\n\n" +
	"   nginx:1, docker-daemon:nginx:1     in Docker Engine, this host's or the one of DOCKER_HOST (ssh:// too)\n" +
	"   docker://HOST/REPOSITORY:TAG       in a registry, without any engine; with @sha256:… too\n" +
	"   docker-archive:FILE[:NAME]         from 'docker save', also compressed (gzip, zstd, xz, bzip2)\n" +
	"   oci:DIR[:TAG], oci-archive:FILE[:TAG]\n" +
	"   glance:IMAGE                       in Glance, by name or id\n" +
	"   -                                  stdin, or stdout: an archive"

// transportsFlags returns the flags of all commands that read images from any place.
func transportsFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "platform", Usage: "`OS/ARCH[/VARIANT]` of the image", DefaultText: "this host's, linux/" + runtime.GOARCH},
		&cli.BoolFlag{Name: "insecure", Usage: "speak to registries in plain HTTP, or without verifying their certificates"},
		&cli.StringFlag{Name: "max-unpacked", Value: "100GiB", Usage: "largest `SIZE` to which an image may unpack; 0 for any"},
		&cli.Int64Flag{Name: "max-ratio", Value: 200, Usage: "largest `RATIO` of a layer's unpacked size to its packed size; 0 for any"},
	}
}

// transports returns how a command reaches images, from its flags.
func transports(c *cli.Context, s Streams) (image.Transports, error) {
	platform, err := platformOf(c)
	if err != nil {
		return image.Transports{}, err
	}
	unpacked, err := units.RAMInBytes(c.String("max-unpacked"))
	if err != nil || c.Int64("max-ratio") < 0 {
		return image.Transports{}, misused(c, "--max-unpacked %q or --max-ratio %d is no limit", c.String("max-unpacked"), c.Int64("max-ratio"))
	}
	attempts, err := retries(c)
	if err != nil {
		return image.Transports{}, err
	}
	insecure := c.Bool("insecure")
	return image.Transports{
		Engine:   sync.OnceValues(func() (image.EngineAPI, error) { return docker.Open() }),
		Registry: image.RegistryOptions{Insecure: insecure, Remote: image.Remote("ndock/"+version(), image.CertsDir, insecure, attempts, warnings(c))},
		Stdin:    s.In,
		Stdout:   s.Out,
		Platform: platform,
		Limits:   archive.Limits{Unpacked: unpacked, Ratio: c.Int64("max-ratio")},
		Force:    c.Bool("force"),
		Retries:  attempts,
	}, nil
}

func platformOf(c *cli.Context) (archive.Platform, error) {
	text := c.String("platform")
	if text == "" {
		return archive.Platform{OS: "linux", Architecture: runtime.GOARCH}, nil
	}
	platform, err := archive.ParsePlatform(text)
	if err != nil {
		return platform, misused(c, "--platform %s", err)
	}
	return platform, nil
}

// withGlance adds Glance to the transports. The cloud is opened at its first use.
func withGlance(transports image.Transports, cloud func() (*openstack.Cloud, error)) image.Transports {
	transports.Glance = func(ctx context.Context, name string) (image.Source, error) {
		glance, err := cloud()
		if err != nil {
			return image.Source{}, err
		}
		return glanceSource(ctx, glance, name, transports.Retries)
	}
	return transports
}

// glanceSource returns an image in Glance as a source. Its metadata are known after reading.
func glanceSource(ctx context.Context, cloud *openstack.Cloud, name string, retries int) (image.Source, error) {
	found, err := cloud.Image(ctx, name)
	if err != nil {
		return image.Source{}, err
	}
	if found.Status != "active" {
		return image.Source{}, fmt.Errorf("image %q is %s, and has no bytes to read yet", name, found.Status)
	}
	return image.FromArchive(image.Metadata{Size: found.Size}, func(ctx context.Context) (io.ReadCloser, error) {
		return cloud.OpenImage(ctx, found.ID, retries)
	}, func(ctx context.Context, layer archive.LeftOut) (io.ReadCloser, error) {
		return cloud.OpenLayer(ctx, found, openstack.StoredLayer{Digest: string(layer.Digest), Image: layer.Image}, retries)
	}), nil
}

// openCloudOnce returns a function that opens the cloud at its first call, and returns the same one from then on.
func openCloudOnce(c *cli.Context, s Streams) func() (*openstack.Cloud, error) {
	return sync.OnceValues(func() (*openstack.Cloud, error) { return openCloud(c, s) })
}

// reference reads one argument that names an image.
func reference(c *cli.Context, text string) (image.Reference, error) {
	parsed, err := image.ParseReference(text)
	if err != nil {
		return image.Reference{}, misused(c, "%s", err)
	}
	return parsed, nil
}

// glanceMetadata returns the properties of an image in Glance.
func glanceMetadata(metadata image.Metadata) openstack.DockerImage {
	return openstack.DockerImage{
		ID: metadata.ID, Digest: metadata.Digest, Tags: metadata.Tags, Architecture: docker.GlanceArchitecture(metadata.Platform.Architecture), UnpackedSize: metadata.Unpacked,
		Layers: metadata.Layers,
	}
}

// nameInGlance returns what an image is to be called in Glance: the name that is given, and else its source's, without
// colons.
func nameInGlance(c *cli.Context, given string, source image.Reference) (string, error) {
	switch {
	case given != "":
		return given, nil
	case source.OwnName() == "":
		return "", misused(c, "an image from stdin has no name: give it one with --name")
	}
	return openstack.ImageName(source.OwnName()), nil
}

// warnOfColon tells that OpenStack's clients cannot find an image by such a name.
func warnOfColon(s Streams, name string) {
	if strings.Contains(name, ":") {
		fmt.Fprintf(s.Err, "warning: the image's name %q has a colon: openstack, Terraform and Ansible find it by its id only; %q has none\n",
			name, openstack.ImageName(name))
	}
}
