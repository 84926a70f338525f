package deploy

import (
	"context"
	"errors"
	"io"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/registry"
)

// Engine is what deploying needs of Docker Engine.
type Engine interface {
	ImageList(ctx context.Context, options image.ListOptions) ([]image.Summary, error)
	ImageImport(ctx context.Context, source image.ImportSource, ref string, options image.ImportOptions) (io.ReadCloser, error)
	ImageRemove(ctx context.Context, id string, options image.RemoveOptions) ([]image.DeleteResponse, error)

	VolumeInspect(ctx context.Context, name string) (volume.Volume, error)
	VolumeRemove(ctx context.Context, name string, force bool) error

	ContainerCreate(ctx context.Context, config *container.Config, host *container.HostConfig, net *network.NetworkingConfig, platform *ocispec.Platform, name string) (container.CreateResponse, error)
	ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error)
	ContainerList(ctx context.Context, options container.ListOptions) ([]container.Summary, error)
	ContainerLogs(ctx context.Context, id string, options container.LogsOptions) (io.ReadCloser, error)
	ContainerRename(ctx context.Context, id, name string) error
	ContainerStart(ctx context.Context, id string, options container.StartOptions) error
	ContainerStop(ctx context.Context, id string, options container.StopOptions) error
	ContainerRemove(ctx context.Context, id string, options container.RemoveOptions) error
	CopyToContainer(ctx context.Context, id, dir string, content io.Reader, options container.CopyToContainerOptions) error
	CopyFromContainer(ctx context.Context, id, path string) (io.ReadCloser, container.PathStat, error)
}

var _ Engine = (*client.Client)(nil)

// explain says what was tried when the engine refused it, and hints at what helps when there is no engine.
func explain(op string, err error) error {
	if err == nil {
		return nil
	}
	var hinted interface {
		error
		Hint() string
	}
	if errors.As(err, &hinted) { // the way to the engine knows better
		return &registry.Error{Op: op, Err: hinted, Help: hinted.Hint()}
	}
	if client.IsErrConnectionFailed(err) {
		return &registry.Error{Op: op, Err: err, Help: "start Docker, or let DOCKER_HOST name an engine ('docker context' is not read)"}
	}
	return &registry.Error{Op: op, Err: err}
}

// What the registry is called on the engine.
const (
	containerName = "ndock-registry"
	imageName     = "ndock-registry"
	dataVolume    = "ndock-registry"
	configVolume  = "ndock-registry-config"
)

// configDir is where the container finds its configuration.
const configDir = "/etc/ndock-registry"

// The labels on what ndock makes.
const (
	labelRegistry = "ndock.registry"        // on each container
	labelListen   = "ndock.registry.listen" // where it listens
	labelURL      = "ndock.registry.url"    // where clients find it
	labelTLS      = "ndock.registry.tls"    // whose certificate it shows
	labelData     = "ndock.registry.data"   // where its images are
	labelSpec     = "ndock.registry.spec"   // digest of all that the container was made with
	labelBinary   = "ndock.registry.binary" // digest of the ndock inside the image
)

// How a registry shows who it is.
const (
	tlsNone       = "none"
	tlsSelfSigned = "self-signed"
	tlsGiven      = "given"
)
