package deploy

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/pkg/stdcopy"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/registry/config"
	"ndock/registry/internal/registrytest"
	"ndock/registry/serve"
)

// fakeEngine runs the registries that it is told to run, in this process, with directories for volumes.
type fakeEngine struct {
	t          *testing.T
	dir        string // of the volumes
	containers []*fakeContainer
	images     []image.Summary
	made       int
	breaks     string // what the program says instead of serving
	restarts   bool   // it is started again before anybody looks
}

type fakeContainer struct {
	container.InspectResponse
	cancel context.CancelFunc
	ended  chan error
	log    string
}

var _ Engine = (*fakeEngine)(nil)

func (e *fakeEngine) find(id string) (*fakeContainer, error) {
	at := slices.IndexFunc(e.containers, func(c *fakeContainer) bool { return c.ID == id || c.Name == "/"+id })
	if at < 0 {
		return nil, fmt.Errorf("container %s: %w", id, errdefs.ErrNotFound)
	}
	return e.containers[at], nil
}

func (e *fakeEngine) ImageList(_ context.Context, o image.ListOptions) ([]image.Summary, error) {
	var found []image.Summary
	for _, one := range e.images {
		if o.Filters.MatchKVList("label", one.Labels) {
			found = append(found, one)
		}
	}
	return found, nil
}

func (e *fakeEngine) ImageImport(_ context.Context, source image.ImportSource, ref string, o image.ImportOptions) (io.ReadCloser, error) {
	seen := map[string]bool{}
	for r := tar.NewReader(source.Source); ; {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		seen[header.Name] = true
	}
	if !seen["ndock"] {
		e.t.Errorf("the image has no program: %v", seen)
	}
	_, digest, _ := strings.Cut(o.Changes[1], "=")
	e.images = append(e.images, image.Summary{
		ID: "sha256:" + digest, RepoTags: []string{ref}, Labels: map[string]string{labelBinary: strings.Trim(digest, `"`)},
	})
	return io.NopCloser(strings.NewReader(`{"status":"sha256:0"}`)), nil
}

func (e *fakeEngine) ImageRemove(_ context.Context, id string, _ image.RemoveOptions) ([]image.DeleteResponse, error) {
	e.images = slices.DeleteFunc(e.images, func(i image.Summary) bool { return i.ID == id })
	return nil, nil
}

func (e *fakeEngine) VolumeInspect(_ context.Context, name string) (volume.Volume, error) {
	if _, err := os.Stat(filepath.Join(e.dir, name)); err != nil {
		return volume.Volume{}, fmt.Errorf("volume %s: %w", name, errdefs.ErrNotFound)
	}
	return volume.Volume{Name: name}, nil
}

func (e *fakeEngine) VolumeRemove(ctx context.Context, name string, _ bool) error {
	if _, err := e.VolumeInspect(ctx, name); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(e.dir, name))
}

func (e *fakeEngine) ContainerCreate(_ context.Context, config *container.Config, host *container.HostConfig, _ *network.NetworkingConfig, _ *ocispec.Platform, name string) (container.CreateResponse, error) {
	if _, err := e.find(name); err == nil {
		return container.CreateResponse{}, fmt.Errorf("name %s: %w", name, errdefs.ErrConflict)
	}
	for _, m := range host.Mounts {
		if err := os.MkdirAll(filepath.Join(e.dir, m.Source), 0o755); err != nil {
			return container.CreateResponse{}, err
		}
	}
	e.made++
	id := fmt.Sprint("id", e.made)
	e.containers = append(e.containers, &fakeContainer{InspectResponse: container.InspectResponse{
		Config:            config,
		ContainerJSONBase: &container.ContainerJSONBase{ID: id, Name: "/" + name, State: &container.State{Status: "created"}, HostConfig: host},
	}})
	return container.CreateResponse{ID: id}, nil
}

func (e *fakeEngine) ContainerInspect(_ context.Context, id string) (container.InspectResponse, error) {
	c, err := e.find(id)
	if err != nil {
		return container.InspectResponse{}, err
	}
	text, err := json.Marshal(c.InspectResponse) // a copy, as over the wire
	if err != nil {
		return container.InspectResponse{}, err
	}
	var answer container.InspectResponse
	return answer, json.Unmarshal(text, &answer)
}

func (e *fakeEngine) ContainerList(context.Context, container.ListOptions) ([]container.Summary, error) {
	var all []container.Summary
	for _, c := range e.containers {
		all = append(all, container.Summary{ID: c.ID})
	}
	return all, nil
}

func (e *fakeEngine) ContainerLogs(_ context.Context, id string, _ container.LogsOptions) (io.ReadCloser, error) {
	c, err := e.find(id)
	if err != nil {
		return nil, err
	}
	var log bytes.Buffer
	_, err = stdcopy.NewStdWriter(&log, stdcopy.Stderr).Write([]byte(c.log))
	return io.NopCloser(&log), err
}

func (e *fakeEngine) ContainerRename(_ context.Context, id, name string) error {
	c, err := e.find(id)
	if err == nil {
		c.Name = "/" + name
	}
	return err
}

func (e *fakeEngine) ContainerStart(_ context.Context, id string, _ container.StartOptions) error {
	c, err := e.find(id)
	if err != nil || c.State.Running {
		return err
	}
	if e.breaks != "" {
		c.log, c.State.Status, c.State.ExitCode = e.breaks, "restarting", 1
		c.State.Restarting = true
		if e.restarts { // already
			c.State.Status, c.State.ExitCode, c.State.Running, c.State.Restarting, c.RestartCount = "running", 0, true, false, 1
			c.cancel, c.ended = func() {}, make(chan error)
			close(c.ended)
		}
		e.breaks = ""
		return nil
	}
	options, ready := e.options(c.Config.Cmd), make(chan string, 1)
	options.Listening = func(_, url string) { ready <- url }
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel, c.ended = cancel, make(chan error, 1)
	go func() { c.ended <- serve.Serve(ctx, options) }()
	select {
	case <-ready:
		c.State.Status, c.State.Running, c.State.StartedAt = "running", true, time.Now().Format(time.RFC3339Nano)
	case err := <-c.ended:
		e.t.Errorf("the registry ended: %v", err)
		cancel()
		c.log, c.State.Status, c.State.ExitCode = "ndock: "+err.Error()+"\n", "exited", 1
	}
	return nil
}

// options are those that the container's command line stands for, its paths those of the volumes here.
func (e *fakeEngine) options(command []string) config.Options {
	o := config.Options{Log: slog.New(slog.DiscardHandler)}
	for i, word := range command {
		value := func() string {
			return strings.NewReplacer(configDir, filepath.Join(e.dir, configVolume), config.DataDir, filepath.Join(e.dir, dataVolume)).Replace(command[i+1])
		}
		switch word {
		case "--config":
			text, err := os.ReadFile(value())
			if err != nil {
				e.t.Error(err)
			}
			o.Config = registrytest.Write(e.t, bytes.ReplaceAll(text, []byte(configDir), []byte(filepath.Join(e.dir, configVolume))))
			if !bytes.Contains(text, []byte("s3:")) {
				o.Data = filepath.Join(e.dir, dataVolume)
			}
		case "--tls-next":
			o.NextFile = value()
		case "--max-uploads":
			o.MaxUploads, _ = strconv.Atoi(value())
		case "--insecure":
			o.Insecure = true
		case "--proxy-public":
			o.Proxy.Public = true
		}
	}
	return o
}

func (e *fakeEngine) ContainerStop(_ context.Context, id string, _ container.StopOptions) error {
	c, err := e.find(id)
	if err != nil || !c.State.Running {
		return err
	}
	c.cancel()
	c.State.Status, c.State.Running = "exited", false
	return <-c.ended
}

func (e *fakeEngine) ContainerRemove(ctx context.Context, id string, o container.RemoveOptions) error {
	if o.Force {
		e.ContainerStop(ctx, id, container.StopOptions{})
	}
	e.containers = slices.DeleteFunc(e.containers, func(c *fakeContainer) bool { return c.ID == id })
	return nil
}

func (e *fakeEngine) CopyToContainer(_ context.Context, _, _ string, content io.Reader, _ container.CopyToContainerOptions) error {
	for r := tar.NewReader(content); ; {
		header, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(e.dir, configVolume, header.Name), text, 0o600); err != nil {
			return err
		}
	}
}

func (e *fakeEngine) CopyFromContainer(context.Context, string, string) (io.ReadCloser, container.PathStat, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	err := w.AddFS(os.DirFS(filepath.Join(e.dir, configVolume)))
	return io.NopCloser(&archive), container.PathStat{}, err
}
