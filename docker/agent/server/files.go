package server

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
)

// inject writes what a server brings along into its container, before that starts for the first time.
func (s *Server) inject(ctx context.Context, containerID string, spec agent.Spec) error {
	for _, file := range spec.Files {
		if err := s.writeFile(ctx, containerID, tarFile{path: file.Path, content: file.Content, mode: 0o644}); err != nil {
			return err
		}
	}
	if spec.PublicKey != "" {
		if err := s.authorize(ctx, containerID, spec.PublicKey); err != nil {
			return err
		}
	}
	if spec.Password == "" {
		return nil
	}
	// An image without accounts has nobody who could log in.
	if err := s.setPassword(ctx, containerID, spec.Password); !errors.Is(err, errNoAccounts) {
		return err
	}
	return nil
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

// readFile reads a file of a container, with its owner and mode.
func (s *Server) readFile(ctx context.Context, containerID, name string) (tarFile, error) {
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
		return tarFile{}, unusableImage("its %s is no file, or has more than %d bytes", name, fileLimit)
	}
	content, err := io.ReadAll(in)
	if err != nil {
		return tarFile{}, fmt.Errorf("read %s: %w", name, err)
	}
	return tarFile{path: name, content: content, mode: header.Mode & 0o7777, uid: header.Uid, gid: header.Gid}, nil
}
