package instance

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/engine"
	"ndock/docker/engine/rootfs"
)

// files reads and writes files of a container, by Docker's own copy.
type files struct {
	engine engine.Containers
	id     string // the container's
}

// tarFile is a file that is copied into a container or out of it.
type tarFile struct {
	path      string
	content   []byte
	mode      int64
	uid, gid  int
	directory bool
}

// write writes files. Docker creates missing directories, and does not follow links out of the container.
func (f files) write(ctx context.Context, all ...tarFile) error {
	var b bytes.Buffer
	out := tar.NewWriter(&b)
	for _, file := range all {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: clean(file.path), Mode: file.mode, Uid: file.uid, Gid: file.gid, Size: int64(len(file.content))}
		if file.directory {
			header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
		}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		if _, err := out.Write(file.content); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	if err := f.engine.CopyToContainer(ctx, f.id, "/", &b, container.CopyToContainerOptions{}); err != nil {
		return fmt.Errorf("write %s: %w", all[len(all)-1].path, classify(err))
	}
	return nil
}

// clean makes a path relative to the container's root.
func clean(name string) string { return strings.TrimPrefix(path.Join("/", name), "/") }

// fileLimit is the largest file of a tenant's that is read, in bytes.
const fileLimit = 1 << 20

// oddFile is an error for a path at which there is no regular file, or one that is too large to be read.
type oddFile struct{ path, is string }

func (e *oddFile) Error() string {
	return fmt.Sprintf("%s is %s, and no file to write to", e.path, e.is)
}

// kindOf describes a file that is not a regular one.
func kindOf(mode os.FileMode) string {
	switch {
	case mode&os.ModeSymlink != 0:
		return "a symbolic link"
	case mode&os.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&os.ModeCharDevice != 0:
		return "a character device"
	case mode&os.ModeDevice != 0:
		return "a device"
	case mode&os.ModeSocket != 0:
		return "a socket"
	case mode.IsDir():
		return "a directory"
	}
	return "of an unknown kind"
}

// read returns a file, with its owner and mode. No process of the container may run meanwhile: it could replace the file by
// a FIFO after the check, and Docker would wait for a writer, with the container's lock held. It checks first, because Docker
// reads whatever is at a path, of any size.
func (f files) read(ctx context.Context, name string) (tarFile, error) {
	stat, err := f.engine.ContainerStatPath(ctx, f.id, name)
	if err != nil {
		return tarFile{}, fmt.Errorf("look at %s: %w", name, err)
	}
	if !stat.Mode.IsRegular() {
		return tarFile{}, &oddFile{name, kindOf(stat.Mode)}
	}
	if stat.Size > fileLimit {
		return tarFile{}, &oddFile{name, fmt.Sprintf("larger than %d bytes", fileLimit)}
	}
	archive, _, err := f.engine.CopyFromContainer(ctx, f.id, name)
	if err != nil {
		return tarFile{}, fmt.Errorf("read %s: %w", name, err)
	}
	defer archive.Close()
	in := tar.NewReader(archive)
	header, err := in.Next()
	if err != nil {
		return tarFile{}, fmt.Errorf("read %s: %w", name, err)
	}
	if header.Typeflag != tar.TypeReg || header.Size > fileLimit {
		return tarFile{}, &oddFile{name, "not what it was"}
	}
	content, err := io.ReadAll(in)
	if err != nil {
		return tarFile{}, fmt.Errorf("read %s: %w", name, err)
	}
	return tarFile{path: name, content: content, mode: header.Mode & 0o7777, uid: header.Uid, gid: header.Gid}, nil
}

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
			if err := checkOwn(ctx, own, name); err != nil {
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
func checkOwn(ctx context.Context, own rootfs.Rootfs, name string) error {
	found, err := own.Stat(ctx, name)
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
