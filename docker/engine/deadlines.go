package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// WithDeadlines gives up on calls that Docker Engine does not answer in time: it may wait for the lock of one container for
// ever. Each call has the time that it may need by itself, beside what is left to the request that makes it. Those that
// move files of any size (load, save) have the request's alone, and so has the stream of events.
func WithDeadlines(docker Docker) Docker { return deadlines{docker} }

type deadlines struct{ Docker }

// How long calls may take. An inspection needs no more than the engine's own tables.
const (
	inspectLimit = 20 * time.Second
	changeLimit  = 3 * time.Minute  // runc and its hooks, the removal of many files
	endLimit     = 10 * time.Minute // beyond the time that the process is given to end by itself; see ContainerStop
	sizeLimit    = time.Hour        // the size of every file
	commitLimit  = 6 * time.Hour    // copies every file; the engine goes on with it when its caller is gone
	createLimit  = time.Hour        // copies what the image has where it declares volumes; the engine goes on with it, too
)

// within makes a call that returns a value.
func within[T any](ctx context.Context, limit time.Duration, what string, call func(ctx context.Context) (T, error)) (T, error) {
	inTime, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := call(inTime)
	return answer, late(inTime, what, err)
}

// doWithin makes a call that returns only an error.
func doWithin(ctx context.Context, limit time.Duration, what string, call func(ctx context.Context) error) error {
	_, err := within(ctx, limit, what, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx) })
	return err
}

// beginWithin makes a call that returns a stream. The limit is for its beginning, the caller's context for the rest.
func beginWithin[T any](ctx context.Context, limit time.Duration, what string, call func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
	answer, err := call(ctx)
	timer.Stop()
	err = late(ctx, what, err)
	if err != nil {
		cancel(err)
	}
	return answer, err
}

// late returns an error that names the call, if Docker Engine did not answer it in time.
func late(ctx context.Context, what string, err error) error {
	if err == nil || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("Docker Engine did not answer in time when asked to %s: %w", what, context.DeadlineExceeded)
}

func (d deadlines) ContainerList(ctx context.Context, options container.ListOptions) ([]container.Summary, error) {
	limit := inspectLimit
	if options.Size {
		limit = sizeLimit
	}
	return within(ctx, limit, "list containers", func(ctx context.Context) ([]container.Summary, error) {
		return d.Docker.ContainerList(ctx, options)
	})
}

func (d deadlines) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	return within(ctx, inspectLimit, "inspect container "+id, func(ctx context.Context) (container.InspectResponse, error) {
		return d.Docker.ContainerInspect(ctx, id)
	})
}

func (d deadlines) ContainerCreate(ctx context.Context, config *container.Config, host *container.HostConfig, networks *network.NetworkingConfig, platform *ocispec.Platform, name string) (container.CreateResponse, error) {
	return within(ctx, createLimit, "create container "+name, func(ctx context.Context) (container.CreateResponse, error) {
		return d.Docker.ContainerCreate(ctx, config, host, networks, platform, name)
	})
}

func (d deadlines) ContainerStart(ctx context.Context, id string, options container.StartOptions) error {
	return doWithin(ctx, changeLimit, "start container "+id, func(ctx context.Context) error {
		return d.Docker.ContainerStart(ctx, id, options)
	})
}

// ContainerStop, like ContainerRemove, takes as long as the kernel needs to unmount the container's file system: until all
// that any server has written is on the disk, at the rate that its flavor allows.
func (d deadlines) ContainerStop(ctx context.Context, id string, options container.StopOptions) error {
	limit := endLimit
	if options.Timeout != nil {
		limit += time.Duration(*options.Timeout) * time.Second
	}
	return doWithin(ctx, limit, "stop container "+id, func(ctx context.Context) error {
		return d.Docker.ContainerStop(ctx, id, options)
	})
}

func (d deadlines) ContainerPause(ctx context.Context, id string) error {
	return doWithin(ctx, inspectLimit, "pause container "+id, func(ctx context.Context) error {
		return d.Docker.ContainerPause(ctx, id)
	})
}

func (d deadlines) ContainerUnpause(ctx context.Context, id string) error {
	return doWithin(ctx, inspectLimit, "unpause container "+id, func(ctx context.Context) error {
		return d.Docker.ContainerUnpause(ctx, id)
	})
}

func (d deadlines) ContainerRemove(ctx context.Context, id string, options container.RemoveOptions) error {
	return doWithin(ctx, endLimit, "remove container "+id, func(ctx context.Context) error {
		return d.Docker.ContainerRemove(ctx, id, options)
	})
}

func (d deadlines) ContainerStatsOneShot(ctx context.Context, id string) (container.StatsResponseReader, error) {
	return beginWithin(ctx, inspectLimit, "measure container "+id, func(ctx context.Context) (container.StatsResponseReader, error) {
		return d.Docker.ContainerStatsOneShot(ctx, id)
	})
}

func (d deadlines) ContainerLogs(ctx context.Context, id string, options container.LogsOptions) (io.ReadCloser, error) {
	return beginWithin(ctx, inspectLimit, "read the log of container "+id, func(ctx context.Context) (io.ReadCloser, error) {
		return d.Docker.ContainerLogs(ctx, id, options)
	})
}

func (d deadlines) ContainerRename(ctx context.Context, id, name string) error {
	return doWithin(ctx, inspectLimit, "rename container "+id, func(ctx context.Context) error {
		return d.Docker.ContainerRename(ctx, id, name)
	})
}

func (d deadlines) ContainerStatPath(ctx context.Context, id, path string) (container.PathStat, error) {
	return within(ctx, inspectLimit, "look at a file of container "+id, func(ctx context.Context) (container.PathStat, error) {
		return d.Docker.ContainerStatPath(ctx, id, path)
	})
}

func (d deadlines) CopyToContainer(ctx context.Context, id, directory string, archive io.Reader, options container.CopyToContainerOptions) error {
	return doWithin(ctx, changeLimit, "write to container "+id, func(ctx context.Context) error {
		return d.Docker.CopyToContainer(ctx, id, directory, archive, options)
	})
}

type copiedOut struct {
	content io.ReadCloser
	stat    container.PathStat
}

func (d deadlines) CopyFromContainer(ctx context.Context, id, path string) (io.ReadCloser, container.PathStat, error) {
	answer, err := beginWithin(ctx, changeLimit, "read from container "+id, func(ctx context.Context) (copiedOut, error) {
		content, stat, err := d.Docker.CopyFromContainer(ctx, id, path)
		return copiedOut{content, stat}, err
	})
	return answer.content, answer.stat, err
}

// ContainerAttach has a goroutine of its own, because Docker's client ignores its context while it waits for the connection.
func (d deadlines) ContainerAttach(ctx context.Context, id string, options container.AttachOptions) (types.HijackedResponse, error) {
	return beginWithin(ctx, inspectLimit, "attach to container "+id, func(ctx context.Context) (types.HijackedResponse, error) {
		type answer struct {
			attached types.HijackedResponse
			err      error
		}
		done := make(chan answer, 1)
		go func() {
			attached, err := d.Docker.ContainerAttach(ctx, id, options)
			done <- answer{attached, err}
		}()
		select {
		case a := <-done:
			return a.attached, a.err
		case <-ctx.Done():
			go func() {
				if a := <-done; a.err == nil {
					a.attached.Close()
				}
			}()
			return types.HijackedResponse{}, ctx.Err()
		}
	})
}

func (d deadlines) ContainerResize(ctx context.Context, id string, options container.ResizeOptions) error {
	return doWithin(ctx, inspectLimit, "resize the terminal of container "+id, func(ctx context.Context) error {
		return d.Docker.ContainerResize(ctx, id, options)
	})
}

func (d deadlines) ContainerCommit(ctx context.Context, id string, options container.CommitOptions) (container.CommitResponse, error) {
	return within(ctx, commitLimit, "make an image of container "+id, func(ctx context.Context) (container.CommitResponse, error) {
		return d.Docker.ContainerCommit(ctx, id, options)
	})
}

func (d deadlines) ImageInspect(ctx context.Context, id string, options ...client.ImageInspectOption) (image.InspectResponse, error) {
	return within(ctx, inspectLimit, "inspect image "+id, func(ctx context.Context) (image.InspectResponse, error) {
		return d.Docker.ImageInspect(ctx, id, options...)
	})
}

func (d deadlines) ImageTag(ctx context.Context, source, target string) error {
	return doWithin(ctx, inspectLimit, "name image "+source, func(ctx context.Context) error {
		return d.Docker.ImageTag(ctx, source, target)
	})
}

func (d deadlines) ImageList(ctx context.Context, options image.ListOptions) ([]image.Summary, error) {
	return within(ctx, inspectLimit, "list images", func(ctx context.Context) ([]image.Summary, error) {
		return d.Docker.ImageList(ctx, options)
	})
}

func (d deadlines) ImageRemove(ctx context.Context, id string, options image.RemoveOptions) ([]image.DeleteResponse, error) {
	return within(ctx, changeLimit, "remove image "+id, func(ctx context.Context) ([]image.DeleteResponse, error) {
		return d.Docker.ImageRemove(ctx, id, options)
	})
}

func (d deadlines) VolumeCreate(ctx context.Context, options volume.CreateOptions) (volume.Volume, error) {
	return within(ctx, inspectLimit, "make volume "+options.Name, func(ctx context.Context) (volume.Volume, error) {
		return d.Docker.VolumeCreate(ctx, options)
	})
}

func (d deadlines) VolumeRemove(ctx context.Context, id string, force bool) error {
	return doWithin(ctx, changeLimit, "remove volume "+id, func(ctx context.Context) error {
		return d.Docker.VolumeRemove(ctx, id, force)
	})
}

func (d deadlines) ServerVersion(ctx context.Context) (types.Version, error) {
	return within(ctx, inspectLimit, "tell its version", func(ctx context.Context) (types.Version, error) {
		return d.Docker.ServerVersion(ctx)
	})
}

func (d deadlines) Info(ctx context.Context) (system.Info, error) {
	return within(ctx, inspectLimit, "tell what it is", func(ctx context.Context) (system.Info, error) {
		return d.Docker.Info(ctx)
	})
}
