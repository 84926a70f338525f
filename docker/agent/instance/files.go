package instance

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/engine"
)

// files are those of a container, read and written by Docker's own copy.
type files struct {
	engine engine.Containers
	id     string // the container's
}

// tarFile is a file as it goes into a container, or comes out of it.
type tarFile struct {
	path      string
	content   []byte
	mode      int64
	uid, gid  int
	directory bool
}

// write writes files into a container. Docker makes the directories that are missing, and does not follow links
// out of the container.
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

// clean is a path below the container's root.
func clean(name string) string { return strings.TrimPrefix(path.Join("/", name), "/") }

// fileLimit is the most that is read of a file of the tenant's, in bytes.
const fileLimit = 1 << 20

// oddFile is a path of a container at which there is something else than a file that the agent would read.
type oddFile struct{ path, is string }

func (e *oddFile) Error() string {
	return fmt.Sprintf("%s is %s, and no file to write to", e.path, e.is)
}

// kindOf names what is no regular file.
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

// accountsLimit is how large a list of accounts may be, in bytes: the engine reads it into memory.
const accountsLimit = 16 << 20

// checkAccounts refuses a container at whose lists of accounts the engine would wait or read for ever, when it starts it,
// with the container's lock held: it opens whatever is there. Links are followed, within the container.
func (f files) checkAccounts(ctx context.Context) error {
	for _, name := range []string{"/etc/passwd", "/etc/group"} {
		stat, err := f.engine.ContainerStatPath(ctx, f.id, name)
		if err == nil && stat.Mode&os.ModeSymlink != 0 {
			stat, err = f.engine.ContainerStatPath(ctx, f.id, stat.LinkTarget) // which is no link any more
		}
		switch {
		case errdefs.IsNotFound(err):
		case err != nil:
			return fmt.Errorf("look at %s: %w", name, classify(err))
		case stat.Mode&(os.ModeNamedPipe|os.ModeDevice|os.ModeCharDevice) != 0:
			return agent.Faultf(agent.UnusableImage, "its %s is %s: Docker Engine would read it for ever", name, kindOf(stat.Mode))
		case stat.Mode.IsRegular() && stat.Size > accountsLimit:
			return agent.Faultf(agent.UnusableImage, "its %s has %d bytes, and may have %d", name, stat.Size, accountsLimit)
		}
	}
	return nil
}

// read reads a file of a container, with its owner and mode. No process of the container may run meanwhile: it
// could put a FIFO in the place of the file after this has looked, and Docker would wait for a writer, with the lock of
// the container held. It looks first, because Docker reads all that is at a path, of any size.
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
