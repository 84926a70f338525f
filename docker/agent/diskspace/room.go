package diskspace

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/system"

	"ndock/docker/agent"
	"ndock/docker/archive"
	"ndock/docker/engine"
)

// Room is what there is for images of servers' files on the disk of Docker's data.
type Room struct {
	engine engine.Docker
	space  *Reservations
}

// NewRoom returns the room of an engine, of which those who load images take their share.
func NewRoom(docker engine.Docker, space *Reservations) Room { return Room{docker, space} }

// ForCommit calls do while what a commit of the container takes at most is reserved. Docker writes all that is in its files, the
// holes too. The container's processes must not run: they could make it more after it was measured.
func (r Room) ForCommit(ctx context.Context, found container.InspectResponse, do func(ctx context.Context) error) error {
	info, err := r.engine.Info(ctx)
	if err != nil {
		return fmt.Errorf("ask Docker where it keeps images: %w", err)
	}
	wanted, err := r.changedFiles(ctx, found, info)
	if err != nil {
		return err
	}
	release, err := r.reserve(info, wanted)
	if err != nil {
		return err
	}
	defer release()
	// An engine goes on with a commit when its caller is gone. So the space stays reserved, and the processes paused. containerd
	// says how much a container's files use, without their holes.
	return r.watched(context.WithoutCancel(ctx), engine.InContainerd(info), info.DockerRootDir, do)
}

// changedFiles measures what of the container's files is not its image's.
func (r Room) changedFiles(ctx context.Context, found container.InspectResponse, info system.Info) (Space, error) {
	if upper := found.GraphDriver.Data["UpperDir"]; upper != "" {
		tree, err := Measure(ctx, upper)
		if errors.Is(err, ErrTooDeep) || errors.Is(err, ErrTooMany) {
			return Space{}, agent.Faultf(agent.BadRequest, "no image can be made of the server's files: %v", err)
		}
		return tree.Copy(), err
	}
	size, err := r.sizeByEngine(ctx, found.ID)
	if engine.InContainerd(info) {
		size = archive.AddSizes(size, size) // it packs the files, and unpacks them from there
	}
	return Space{Bytes: size}, err
}

// sizeByEngine is for storage drivers whose directories only Docker knows.
func (r Room) sizeByEngine(ctx context.Context, id string) (int64, error) {
	all, err := r.engine.ContainerList(ctx, container.ListOptions{All: true, Size: true, Filters: filters.NewArgs(filters.Arg("id", id))})
	if err != nil {
		return 0, fmt.Errorf("ask for the size of the files of container %s: %w", id, err)
	}
	for _, one := range all {
		if one.ID == id && one.SizeRw >= 0 {
			return one.SizeRw, nil
		}
	}
	return 0, fmt.Errorf("whether an image of the files of container %s fits on the disk is not known: Docker cannot tell the size of them", id)
}

// reserve holds space for an image of a server's files.
func (r Room) reserve(info system.Info, wanted Space) (release func(), err error) {
	release, err = r.space.Reserve(info.DockerRootDir, wanted)
	var full *Full
	if errors.As(err, &full) {
		return nil, noRoom(full)
	}
	return release, err
}

func noRoom(full error) error {
	return agent.Faultf(agent.BadRequest, "there is no room on this host for an image of the server's files: %v. Sparse files count with their whole size", full) // Nova keeps 255 bytes of it
}

// ForArchive calls do while the copy is reserved that Docker makes of an image's layers before it sends them. Where it may be larger,
// the disk is watched.
func (r Room) ForArchive(ctx context.Context, bytes int64, mayBeMore bool, do func(ctx context.Context) error) error {
	info, err := r.engine.Info(ctx)
	if err != nil {
		return fmt.Errorf("ask Docker where it keeps images: %w", err)
	}
	release, err := r.reserve(info, Space{Bytes: max(0, bytes)})
	if err != nil {
		return err
	}
	defer release()
	return r.watched(ctx, mayBeMore, info.DockerRootDir, do)
}

// watchEvery is how often the disk is looked at.
const watchEvery = 500 * time.Millisecond

// watched calls do. With watch it ends it where the disk becomes nearly full.
func (r Room) watched(ctx context.Context, watch bool, directory string, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if watch {
		go r.watch(ctx, directory, cancel)
	}
	if err := do(ctx); err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return nil
}

func (r Room) watch(ctx context.Context, directory string, end context.CancelCauseFunc) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if full := r.space.Check(directory); full != nil {
				end(noRoom(full))
				return
			}
		}
	}
}
