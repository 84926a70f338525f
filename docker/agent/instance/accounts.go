package instance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/engine/rootfs"
)

// accountsLimit is the largest /etc/passwd or /etc/group, in bytes: the engine reads them into memory.
const accountsLimit = 16 << 20

// checkAccounts refuses a container whose /etc/passwd or /etc/group somebody could read for ever when it starts, with the
// container's lock held. Two do so, whatever is there: the engine, which sees the container's files without its mounts, and
// then the runtime, which sees them with all mounts.
func (f files) checkAccounts(ctx context.Context, of container.InspectResponse) error {
	own, err := rootfs.Open(of)
	if err != nil && !errors.Is(err, rootfs.ErrNotHere) {
		return fmt.Errorf("look at the container's files: %w", err)
	}
	defer own.Close()
	here := err == nil
	for _, name := range []string{"/etc", "/etc/passwd", "/etc/group"} { // /etc may be a link itself
		if here {
			if err := checkOwn(own, name); err != nil {
				return err
			}
		}
		if err := f.checkMounted(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// checkOwn looks at a list of accounts as the engine finds it.
func checkOwn(own rootfs.Rootfs, name string) error {
	found, err := own.Stat(name)
	var unclear *rootfs.Unclear
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.As(err, &unclear):
		return agent.Faultf(agent.UnusableImage, "its %v: Docker Engine and the runtime read %s at each start", unclear, name)
	case err != nil:
		return fmt.Errorf("look at %s: %w", name, err)
	}
	return checkAccount(name, found.Mode(), found.Size())
}

// checkMounted looks at a list of accounts as the runtime finds it. Docker shows no file system of the kernel's, which the runtime
// has.
func (f files) checkMounted(ctx context.Context, name string) error {
	stat, err := f.engine.ContainerStatPath(ctx, f.id, name)
	if err == nil && stat.Mode&os.ModeSymlink != 0 {
		if rootfs.OfKernel(stat.LinkTarget) {
			return agent.Faultf(agent.UnusableImage, "its %s leads to %s: the runtime would read that for ever", name, stat.LinkTarget)
		}
		stat, err = f.engine.ContainerStatPath(ctx, f.id, stat.LinkTarget) // which is no link any more
	}
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("look at %s: %w", name, classify(err))
	}
	return checkAccount(name, stat.Mode, stat.Size)
}

// checkAccount refuses a list of accounts that does not end.
func checkAccount(name string, mode fs.FileMode, size int64) error {
	switch {
	case mode&(fs.ModeNamedPipe|fs.ModeDevice|fs.ModeCharDevice) != 0:
		return agent.Faultf(agent.UnusableImage, "its %s is %s: Docker Engine would read it for ever", name, kindOf(mode))
	case mode.IsRegular() && size > accountsLimit:
		return agent.Faultf(agent.UnusableImage, "its %s has %d bytes, and may have %d", name, size, accountsLimit)
	}
	return nil
}
