package server

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
)

// inject writes what a server brings along into its container, before that starts for the first time. Files are a
// must. A key or a password that has no place in the image is left out, as Nova's other drivers do: Nova sends a
// password with every server.
func (s *Server) inject(ctx context.Context, uuid, containerID string, spec agent.Spec) error {
	for _, file := range spec.Files {
		if err := s.writeFile(ctx, containerID, tarFile{path: file.Path, content: file.Content, mode: 0o644}); err != nil {
			return err
		}
	}
	var left []error
	if spec.PublicKey != "" {
		left = append(left, s.authorize(ctx, containerID, spec.PublicKey))
	}
	if spec.Password != "" {
		left = append(left, s.setPassword(ctx, containerID, spec.Password))
	}
	return s.leaveOut(uuid, left)
}

// noticeFile has what the console log tells of a server beside its output.
const noticeFile = "notice"

// leaveOut passes over what an image has no place for, and tells its owner of what is odd about that.
func (s *Server) leaveOut(uuid string, reasons []error) error {
	notice := ""
	for _, err := range reasons {
		var odd *oddFile
		switch {
		case errors.As(err, &odd):
			s.log.Warn("the server starts without a part of what it was to get", "server", uuid, "reason", err)
			notice += fmt.Sprintf("[ndock] %s: left out\r\n", odd)
		case errors.Is(err, errNoAccounts):
			s.log.Info("the server starts without a password", "server", uuid, "reason", err)
		case err != nil:
			return err
		}
	}
	return os.WriteFile(filepath.Join(s.serverDir(uuid), noticeFile), []byte(notice), 0o600)
}

const sshDir, authorizedKeys = "/root/.ssh", "/root/.ssh/authorized_keys"

// authorize adds a public key to root's, with the owner and the modes that sshd's StrictModes wants.
func (s *Server) authorize(ctx context.Context, containerID, key string) error {
	there, err := s.readFile(ctx, containerID, authorizedKeys)
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	content := string(there.content)
	if line := strings.TrimSpace(key); !strings.Contains(content, line) {
		if content != "" && !strings.HasSuffix(content, "\n") {
			content += "\n"
		}
		content += line + "\n"
	}
	return s.writeFile(ctx, containerID,
		tarFile{path: sshDir, mode: 0o700, directory: true},
		tarFile{path: authorizedKeys, content: []byte(content), mode: 0o600})
}

// tarFile is a file as it goes into a container, or comes out of it.
type tarFile struct {
	path      string
	content   []byte
	mode      int64
	uid, gid  int
	directory bool
}

// writeFile writes files into a container. Docker makes the directories that are missing, and does not follow links
// out of the container.
func (s *Server) writeFile(ctx context.Context, containerID string, files ...tarFile) error {
	var b bytes.Buffer
	out := tar.NewWriter(&b)
	for _, file := range files {
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
	if err := s.docker.CopyToContainer(ctx, containerID, "/", &b, container.CopyToContainerOptions{}); err != nil {
		return fmt.Errorf("write %s: %w", files[len(files)-1].path, tenantsFault(err))
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
func (s *Server) checkAccounts(ctx context.Context, containerID string) error {
	for _, name := range []string{"/etc/passwd", "/etc/group"} {
		stat, err := s.docker.ContainerStatPath(ctx, containerID, name)
		if err == nil && stat.Mode&os.ModeSymlink != 0 {
			stat, err = s.docker.ContainerStatPath(ctx, containerID, stat.LinkTarget) // which is no link any more
		}
		switch {
		case errdefs.IsNotFound(err):
		case err != nil:
			return fmt.Errorf("look at %s: %w", name, tenantsFault(err))
		case stat.Mode&(os.ModeNamedPipe|os.ModeDevice|os.ModeCharDevice) != 0:
			return unusableImage("its %s is %s: Docker Engine would read it for ever", name, kindOf(stat.Mode))
		case stat.Mode.IsRegular() && stat.Size > accountsLimit:
			return unusableImage("its %s has %d bytes, and may have %d", name, stat.Size, accountsLimit)
		}
	}
	return nil
}

// readFile reads a file of a container, with its owner and mode. No process of the container may run meanwhile: it
// could put a FIFO in the place of the file after this has looked, and Docker would wait for a writer, with the lock of
// the container held. It looks first, because Docker reads all that is at a path, of any size.
func (s *Server) readFile(ctx context.Context, containerID, name string) (tarFile, error) {
	stat, err := s.docker.ContainerStatPath(ctx, containerID, name)
	if err != nil {
		return tarFile{}, fmt.Errorf("look at %s: %w", name, err)
	}
	if !stat.Mode.IsRegular() {
		return tarFile{}, &oddFile{name, kindOf(stat.Mode)}
	}
	if stat.Size > fileLimit {
		return tarFile{}, &oddFile{name, fmt.Sprintf("larger than %d bytes", fileLimit)}
	}
	archive, _, err := s.docker.CopyFromContainer(ctx, containerID, name)
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
