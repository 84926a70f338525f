// Package enginetest is a Docker Engine in memory, for tests.
package enginetest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/docker/agent/naming"
	"ndock/docker/engine"
)

// The ids of the server, of the image in Glance, and of what loading an archive gives.
const (
	ServerID = "6f1e4a9c-7f0b-4b52-9a53-0c3a5d5f3c11"
	ImageID  = "c0ffee00-1111-4222-8333-444455556666"
	Loaded   = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
)

// Engine is as much of an engine as the agent can tell from the real one. It records its calls, and fails where a test says
// so.
type Engine struct {
	Mu         sync.Mutex
	made       int                                  // containers, so that each has an id of its own
	Containers map[string]container.InspectResponse // by name
	Images     map[string]image.InspectResponse     // by id and by name
	Parents    map[string]string                    // of images, by id
	Volumes    map[string]volume.CreateOptions      // by name
	Files      map[string][]byte                    // of all containers, by path: what was copied out, or in
	Modes      map[string]os.FileMode               // of those that are no regular files
	Links      map[string]string                    // where those of them lead that are symbolic links
	State      string                               // the agent's directory of servers
	Calls      []string
	Fail       map[string]error // by method
	FailOnce   map[string]error // by method, the next time only
	Hang       map[string]bool  // methods, with or without their subject, that do not answer

	Account    func(archive io.Reader) string // what it says about a load, having read what it likes
	Logs       string
	Stats      string           // of any container
	Sizes      map[string]int64 // of containers' files
	Warnings   []string         // at any creation
	SystemInfo system.Info
	API        string        // its version
	Attached   chan net.Conn // the container's end of each attachment
	Archive    io.Reader     // of an image that is saved
	Happened   chan events.Message
	Failed     chan error
}

// maxAttached is how many attachments wait for a test to take them.
const maxAttached = 32

// New returns an engine without containers and images.
func New() *Engine {
	return &Engine{
		Containers: map[string]container.InspectResponse{},
		Images:     map[string]image.InspectResponse{},
		Parents:    map[string]string{},
		Volumes:    map[string]volume.CreateOptions{},
		Files:      map[string][]byte{},
		Modes:      map[string]os.FileMode{},
		Hang:       map[string]bool{},
		Fail:       map[string]error{},
		FailOnce:   map[string]error{},
		Account:    ReadWhole,
		SystemInfo: system.Info{
			Architecture: "x86_64", NCPU: 8, ServerVersion: "20.10.24+dfsg1", DockerRootDir: "/",
			Driver: "overlay2", DriverStatus: [][2]string{{"Backing Filesystem", "extfs"}},
		},
		API:      "1.41",
		Attached: make(chan net.Conn, maxAttached),
		Happened: make(chan events.Message),
		Failed:   make(chan error, 1),
	}
}

var _ engine.Docker = (*Engine)(nil)

// ErrAway is for Fail.
var ErrAway = errors.New("docker is away")

// ReadWhole is what an engine does that reads its input to the end.
func ReadWhole(archive io.Reader) string {
	if _, err := io.Copy(io.Discard, archive); err != nil {
		return `{"error":"` + err.Error() + `"}`
	}
	return `{"stream":"Loaded image ID: ` + Loaded + `\n"}`
}

// did records a call, and returns what is to go wrong with it. The caller holds no lock.
func (e *Engine) did(method, subject string) error {
	e.Mu.Lock()
	defer e.Mu.Unlock()
	e.Calls = append(e.Calls, strings.TrimSpace(method+" "+subject))
	if err := e.FailOnce[method]; err != nil {
		delete(e.FailOnce, method)
		return err
	}
	return e.Fail[method]
}

// hangs is did for a call that may not answer before its caller gives up.
func (e *Engine) hangs(ctx context.Context, method, subject string) error {
	err := e.did(method, subject)
	e.Mu.Lock()
	hangs := e.Hang[method] || e.Hang[method+" "+subject]
	e.Mu.Unlock()
	if !hangs {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// Called returns the calls so far.
func (e *Engine) Called() []string {
	e.Mu.Lock()
	defer e.Mu.Unlock()
	return slices.Clone(e.Calls)
}

// Put adds a container as a server's spec makes one.
func (e *Engine) Put(name string, labels map[string]string, status container.ContainerState) {
	defer func() { e.made++ }()
	e.Containers[name] = container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: strings.Repeat(string(rune('c'+e.made)), 64), Name: "/" + name,
			State: &container.State{
				Status: status, Running: status == container.StateRunning || status == container.StatePaused,
				Paused: status == container.StatePaused, Pid: os.Getpid(),
			},
		},
		Config: &container.Config{Labels: labels, Tty: true, OpenStdin: true},
	}
}

// PutServer adds the container of the server.
func (e *Engine) PutServer(status container.ContainerState) {
	e.Put(naming.Container(ServerID), map[string]string{naming.LabelServer: ServerID, naming.LabelName: "web"}, status)
}

// Find looks a container up by name or id.
func (e *Engine) Find(id string) (string, container.InspectResponse, error) {
	for name, found := range e.Containers {
		if name == id || found.ID == id {
			return name, found, nil
		}
	}
	return "", container.InspectResponse{}, fmt.Errorf("no such container: %s: %w", id, errdefs.ErrNotFound)
}

func (e *Engine) ContainerList(ctx context.Context, options container.ListOptions) ([]container.Summary, error) {
	if err := e.hangs(ctx, "ContainerList", ""); err != nil {
		return nil, err
	}
	var all []container.Summary
	for name, found := range e.Containers {
		if (options.All || found.State.Running) && options.Filters.MatchKVList("label", found.Config.Labels) {
			all = append(all, container.Summary{ID: found.ID, Names: []string{"/" + name}, Labels: found.Config.Labels, State: found.State.Status, SizeRw: e.Sizes[name], ImageID: found.Image})
		}
	}
	return all, nil
}

func (e *Engine) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	if err := e.hangs(ctx, "ContainerInspect", id); err != nil {
		return container.InspectResponse{}, err
	}
	_, found, err := e.Find(id)
	return found, err
}

func (e *Engine) ContainerCreate(_ context.Context, config *container.Config, host *container.HostConfig, _ *network.NetworkingConfig, _ *ocispec.Platform, name string) (container.CreateResponse, error) {
	if err := e.did("ContainerCreate", name); err != nil {
		return container.CreateResponse{}, err
	}
	if config.Healthcheck != nil && config.Healthcheck.StartInterval != 0 && versions.LessThan(e.API, "1.44") {
		return container.CreateResponse{}, errors.New(`"specify health-check start interval" requires API version 1.44`) // says the client
	}
	e.Put(name, config.Labels, container.StateCreated)
	made := e.Containers[name]
	made.Config, made.HostConfig, made.Image = config, host, config.Image
	if from := e.Images[config.Image].Config; from != nil { // Docker adds the labels of the image
		labels := maps.Clone(from.Labels)
		maps.Copy(labels, config.Labels)
		made.Config.Labels = labels
	}
	e.Containers[name] = made
	return container.CreateResponse{ID: made.ID, Warnings: e.Warnings}, nil
}

// change does a verb to a container and sets its state.
func (e *Engine) change(method, id string, status container.ContainerState) error {
	if err := e.did(method, ""); err != nil {
		return err
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	name, found, err := e.Find(id)
	if err != nil {
		return err
	}
	e.Put(name, found.Config.Labels, status)
	made := e.Containers[name]
	made.ID, made.GraphDriver, made.Image = found.ID, found.GraphDriver, found.Image
	return nil
}

func (e *Engine) ContainerStart(_ context.Context, id string, _ container.StartOptions) error {
	return e.change("ContainerStart", id, container.StateRunning)
}

func (e *Engine) ContainerStop(_ context.Context, id string, options container.StopOptions) error {
	return e.change(fmt.Sprintf("ContainerStop(%d)", *options.Timeout), id, container.StateExited)
}

func (e *Engine) ContainerRename(_ context.Context, id, name string) error {
	if err := e.did("ContainerRename", name); err != nil {
		return err
	}
	old, found, err := e.Find(id)
	if err != nil {
		return err
	}
	delete(e.Containers, old)
	found.Name = "/" + name
	e.Containers[name] = found
	return nil
}

// ErrWouldHang is in place of a copy that Docker may never finish, and that holds the container's lock until then.
var ErrWouldHang = errors.New("the container's processes run: one of them can put a FIFO in the place of the file")

// still checks that nobody can change a container's files.
func (e *Engine) still(id string) error {
	e.Mu.Lock()
	defer e.Mu.Unlock()
	if _, found, err := e.Find(id); err != nil || found.State.Running && !found.State.Paused {
		return errors.Join(err, ErrWouldHang)
	}
	return nil
}

func (e *Engine) ContainerStatPath(_ context.Context, id, path string) (container.PathStat, error) {
	if err := errors.Join(e.did("ContainerStatPath", path), e.still(id)); err != nil {
		return container.PathStat{}, err
	}
	content, there := e.Files[path]
	mode, odd := e.Modes[path]
	if !there && !odd {
		return container.PathStat{}, fmt.Errorf("no such file: %s: %w", path, errdefs.ErrNotFound)
	}
	return container.PathStat{Name: path, Size: int64(len(content)), Mode: mode, LinkTarget: e.Links[path]}, nil
}

func (e *Engine) CopyToContainer(_ context.Context, id, _ string, archive io.Reader, _ container.CopyToContainerOptions) error {
	if err := e.still(id); err != nil {
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
		e.Files["/"+header.Name] = content
		if err := e.did("CopyToContainer", fmt.Sprintf("/%s %o %d:%d", header.Name, header.Mode, header.Uid, header.Gid)); err != nil {
			return err
		}
	}
}

func (e *Engine) CopyFromContainer(_ context.Context, id, path string) (io.ReadCloser, container.PathStat, error) {
	if err := errors.Join(e.did("CopyFromContainer", path), e.still(id)); err != nil {
		return nil, container.PathStat{}, err
	}
	content, there := e.Files[path]
	if !there {
		return nil, container.PathStat{}, fmt.Errorf("no such file: %s: %w", path, errdefs.ErrNotFound)
	}
	var b bytes.Buffer
	out := tar.NewWriter(&b)
	header := &tar.Header{Name: path, Typeflag: tar.TypeReg, Mode: 0o640, Gid: 42, Size: int64(len(content))}
	err := out.WriteHeader(header)
	if err == nil {
		_, err = out.Write(content)
	}
	return io.NopCloser(&b), container.PathStat{}, errors.Join(err, out.Close())
}

func (e *Engine) ContainerPause(_ context.Context, id string) error {
	return e.change("ContainerPause", id, container.StatePaused)
}

func (e *Engine) ContainerUnpause(ctx context.Context, id string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return e.change("ContainerUnpause", id, container.StateRunning)
}

func (e *Engine) ContainerRemove(_ context.Context, id string, options container.RemoveOptions) error {
	if err := e.did("ContainerRemove", ""); err != nil {
		return err
	}
	name, found, err := e.Find(id)
	if err != nil {
		return err
	}
	if found.State.Running && !options.Force {
		return errdefs.ErrConflict
	}
	delete(e.Containers, name)
	return nil
}

func (e *Engine) ContainerStatsOneShot(_ context.Context, id string) (container.StatsResponseReader, error) {
	if err := e.did("ContainerStatsOneShot", id); err != nil {
		return container.StatsResponseReader{}, err
	}
	return container.StatsResponseReader{Body: io.NopCloser(strings.NewReader(e.Stats))}, nil
}

func (e *Engine) ContainerLogs(_ context.Context, _ string, options container.LogsOptions) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(e.Logs)), e.did("ContainerLogs", "tail="+options.Tail)
}

func (e *Engine) ContainerAttach(_ context.Context, _ string, options container.AttachOptions) (types.HijackedResponse, error) {
	if err := e.did("ContainerAttach", fmt.Sprintf("stream=%t stdin=%t stdout=%t", options.Stream, options.Stdin, options.Stdout)); err != nil {
		return types.HijackedResponse{}, err
	}
	agents, containers := net.Pipe()
	e.Attached <- containers
	return types.NewHijackedResponse(agents, types.MediaTypeRawStream), nil
}

func (e *Engine) ContainerResize(_ context.Context, _ string, options container.ResizeOptions) error {
	return e.did("ContainerResize", fmt.Sprintf("%dx%d", options.Width, options.Height))
}

func (e *Engine) ContainerCommit(_ context.Context, id string, options container.CommitOptions) (container.CommitResponse, error) {
	if err := e.did("ContainerCommit", fmt.Sprintf("pause=%t", options.Pause)); err != nil {
		return container.CommitResponse{}, err
	}
	_, from, err := e.Find(id)
	if err != nil {
		return container.CommitResponse{}, err
	}
	made := image.InspectResponse{ID: Loaded, Os: "linux", Architecture: runtime.GOARCH, Size: 4096, Config: Labelled(options.Changes)}
	if from.Image != "" {
		made.ID = "sha256:" + strings.Repeat(strconv.Itoa(e.made), 64)[:64]
		e.Parents[made.ID] = from.Image
	}
	e.Images[made.ID] = made
	return container.CommitResponse{ID: made.ID}, nil
}

// Labelled is an image's configuration after these instructions of a Dockerfile.
func Labelled(changes []string) *dockerspec.DockerOCIImageConfig {
	config := &dockerspec.DockerOCIImageConfig{}
	for _, change := range changes {
		if label, found := strings.CutPrefix(change, "LABEL "); found {
			name, value, _ := strings.Cut(label, "=")
			config.Labels = map[string]string{name: value}
		}
	}
	return config
}

func (e *Engine) ImageInspect(_ context.Context, id string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	if err := e.did("ImageInspect", id); err != nil {
		return image.InspectResponse{}, err
	}
	found, ok := e.Images[id]
	if !ok {
		return image.InspectResponse{}, fmt.Errorf("no such image: %s: %w", id, errdefs.ErrNotFound)
	}
	return found, nil
}

func (e *Engine) ImageLoad(_ context.Context, archive io.Reader, _ ...client.ImageLoadOption) (image.LoadResponse, error) {
	if err := e.did("ImageLoad", ""); err != nil {
		return image.LoadResponse{}, err
	}
	if closer, ok := archive.(io.Closer); ok {
		defer closer.Close() // as an HTTP client does with what it sends
	}
	account := e.Account(archive)
	if _, known := e.Images[Loaded]; !known && strings.Contains(account, Loaded) {
		e.Images[Loaded] = image.InspectResponse{ID: Loaded, Os: "linux", Architecture: runtime.GOARCH}
	}
	return image.LoadResponse{Body: io.NopCloser(strings.NewReader(account)), JSON: true}, nil
}

func (e *Engine) ImageSave(context.Context, []string, ...client.ImageSaveOption) (io.ReadCloser, error) {
	return io.NopCloser(e.Archive), e.did("ImageSave", "")
}

func (e *Engine) ImageTag(_ context.Context, source, target string) error {
	if err := e.did("ImageTag", target); err != nil {
		return err
	}
	e.Images[target] = e.Images[source]
	return nil
}

func (e *Engine) ImageList(_ context.Context, options image.ListOptions) ([]image.Summary, error) {
	var all []image.Summary
	for name, found := range e.Images {
		labels := map[string]string{}
		if found.Config != nil {
			labels = found.Config.Labels
		}
		switch {
		case options.Filters.Contains("label"):
			dangling := !options.Filters.Contains("dangling") || len(found.RepoTags) == 0
			shown := options.All || len(found.RepoTags) > 0 || !e.isParent(found.ID)
			if name == found.ID && dangling && shown && options.Filters.MatchKVList("label", labels) {
				tags := found.RepoTags
				if len(tags) == 0 {
					tags = []string{"<none>:<none>"} // as in Docker's API before 1.43
				}
				all = append(all, image.Summary{ID: found.ID, ParentID: e.Parents[found.ID], RepoTags: tags, Labels: labels})
			}
		case strings.HasPrefix(name, naming.ImageTag("")):
			all = append(all, image.Summary{ID: found.ID, RepoTags: []string{name}})
		}
	}
	return all, e.did("ImageList", "")
}

func (e *Engine) VolumeCreate(_ context.Context, options volume.CreateOptions) (volume.Volume, error) {
	if err := e.did("VolumeCreate", options.Name); err != nil {
		return volume.Volume{}, err
	}
	e.Volumes[options.Name] = options
	return volume.Volume{}, nil
}

func (e *Engine) VolumeRemove(_ context.Context, id string, _ bool) error {
	if err := e.did("VolumeRemove", id); err != nil {
		return err
	}
	if _, there := e.Volumes[id]; !there {
		return errdefs.ErrNotFound
	}
	delete(e.Volumes, id)
	return nil
}

func (e *Engine) isParent(id string) bool {
	for _, found := range e.Images {
		if e.Parents[found.ID] == id {
			return true
		}
	}
	return false
}

func (e *Engine) isUsed(id string) bool {
	for _, user := range e.Containers {
		if user.Image == id {
			return true
		}
	}
	return false
}

// ImageRemove goes on with the parents, unless told not to, as far as they have no name and nobody uses them. As with
// the real one, a parent with another child is a conflict: the image itself is gone by then.
func (e *Engine) ImageRemove(_ context.Context, id string, options image.RemoveOptions) ([]image.DeleteResponse, error) {
	if err := e.did("ImageRemove", id); err != nil {
		return nil, err
	}
	if e.isUsed(id) || e.isParent(id) {
		return nil, errdefs.ErrConflict
	}
	parent := e.Parents[id]
	delete(e.Images, id)
	for options.PruneChildren && parent != "" && len(e.Images[parent].RepoTags) == 0 && !e.isUsed(parent) {
		if e.isParent(parent) {
			return nil, errdefs.ErrConflict
		}
		delete(e.Images, parent)
		parent = e.Parents[parent]
	}
	return nil, nil
}

func (e *Engine) ClientVersion() string { return e.API }

func (e *Engine) ServerVersion(context.Context) (types.Version, error) {
	return types.Version{Version: "20.10.24+dfsg1", APIVersion: e.API}, e.did("ServerVersion", "")
}

func (e *Engine) Info(context.Context) (system.Info, error) {
	return e.SystemInfo, e.did("Info", "")
}

func (e *Engine) Events(_ context.Context, options events.ListOptions) (<-chan events.Message, <-chan error) {
	_ = e.did("Events", strings.Join(options.Filters.Get("label"), ","))
	return e.Happened, e.Failed
}

// PutOther adds a running container that is no server's.
func (e *Engine) PutOther(name string, labels map[string]string, memory int64) {
	e.Put(name, labels, container.StateRunning)
	found := e.Containers[name]
	found.ID = strings.Repeat("f", 60) + name
	found.HostConfig = &container.HostConfig{Resources: container.Resources{Memory: memory}}
	e.Containers[name] = found
}

// WantCalls checks what the engine was asked for.
func (e *Engine) WantCalls(t *testing.T, want ...string) {
	t.Helper()
	if got := e.Called(); !slices.Equal(got, want) {
		t.Errorf("Docker was asked for\n%q, want\n%q", got, want)
	}
}
