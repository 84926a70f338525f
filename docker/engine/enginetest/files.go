package enginetest

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

	"ndock/docker/agent/naming"
)

// ErrWouldHang is in place of a copy that Docker may never finish, and that holds the container's lock until then.
var ErrWouldHang = errors.New("the container's processes run: one of them can put a FIFO in the place of the file")

// still returns a container whose files no tenant can change.
func (e *Engine) still(id string) (container.InspectResponse, error) {
	found, err := e.find(id)
	if err == nil && found.Config.Labels[naming.LabelServer] != "" && found.State.Running && !found.State.Paused {
		err = ErrWouldHang
	}
	return found, err
}

// onDisk returns where a file of a volume is, if volumes have files.
func (e *Engine) onDisk(of container.InspectResponse, name string) (place string, ok bool) {
	if e.VolumesDir == "" {
		return "", false
	}
	for _, m := range mountsOf(of.HostConfig) {
		if rest, inside := strings.CutPrefix(name, m.Target); inside && (rest == "" || rest[0] == '/') {
			return filepath.Join(e.VolumesDir, m.Source, rest), true
		}
	}
	return "", false
}

func noFile(name string) error {
	return fmt.Errorf("no such file: %s: %w", name, errdefs.ErrNotFound)
}

func (e *Engine) ContainerStatPath(_ context.Context, id, name string) (container.PathStat, error) {
	_, still := e.still(id)
	if err := errors.Join(e.did("ContainerStatPath", name), still); err != nil {
		return container.PathStat{}, err
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	content, there := e.Files[name]
	mode, odd := e.Modes[name]
	if !there && !odd {
		return container.PathStat{}, noFile(name)
	}
	return container.PathStat{Name: path.Base(name), Size: int64(len(content)), Mode: mode, LinkTarget: e.Links[name]}, nil
}

func (e *Engine) CopyToContainer(_ context.Context, id, directory string, archive io.Reader, _ container.CopyToContainerOptions) error {
	found, err := e.still(id)
	if err != nil {
		return err
	}
	in := tar.NewReader(archive)
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		if err := e.write(found, strings.TrimSuffix(directory, "/")+"/"+header.Name, header, content); err != nil {
			return err
		}
	}
}

func (e *Engine) write(to container.InspectResponse, name string, header *tar.Header, content []byte) error {
	if place, ok := e.onDisk(to, name); ok {
		return os.WriteFile(place, content, 0o600)
	}
	e.Mu.Lock()
	e.Files[name] = content
	e.Mu.Unlock()
	return e.did("CopyToContainer", fmt.Sprintf("%s %o %d:%d", name, header.Mode, header.Uid, header.Gid))
}

func (e *Engine) CopyFromContainer(_ context.Context, id, name string) (io.ReadCloser, container.PathStat, error) {
	found, still := e.still(id)
	if err := errors.Join(e.did("CopyFromContainer", name), still); err != nil {
		return nil, container.PathStat{}, err
	}
	var b bytes.Buffer
	out := tar.NewWriter(&b)
	err := e.read(found, name, out)
	if err != nil {
		return nil, container.PathStat{}, err
	}
	return io.NopCloser(&b), container.PathStat{Name: path.Base(name)}, out.Close()
}

// read writes a file of a container into an archive, or what a volume has.
func (e *Engine) read(of container.InspectResponse, name string, out *tar.Writer) error {
	if place, ok := e.onDisk(of, name); ok {
		return addTree(out, place, path.Base(name))
	}
	e.Mu.Lock()
	content, there := e.Files[name]
	e.Mu.Unlock()
	if !there {
		return noFile(name)
	}
	if err := out.WriteHeader(&tar.Header{Name: path.Base(name), Typeflag: tar.TypeReg, Mode: 0o640, Gid: 42, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := out.Write(content)
	return err
}

// addTree adds a directory and its files, by the directory's name, as Docker does.
func addTree(out *tar.Writer, place, name string) error {
	if err := out.WriteHeader(&tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
		return err
	}
	all, err := os.ReadDir(place)
	if err != nil {
		return err
	}
	for _, one := range all {
		content, err := os.ReadFile(filepath.Join(place, one.Name()))
		if err != nil {
			return err
		}
		if err := out.WriteHeader(&tar.Header{Name: name + "/" + one.Name(), Mode: 0o600, Size: int64(len(content))}); err != nil {
			return err
		}
		if _, err := out.Write(content); err != nil {
			return err
		}
	}
	return nil
}
