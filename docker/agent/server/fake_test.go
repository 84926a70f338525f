package server

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
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
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	serverID = "6f1e4a9c-7f0b-4b52-9a53-0c3a5d5f3c11"
	imageID  = "c0ffee00-1111-4222-8333-444455556666"
	loaded   = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
)

// engine is a Docker Engine in memory: as much of one as the agent can tell from the real one. It writes down what
// it is asked, and fails where a test says so.
type engine struct {
	mu         sync.Mutex
	made       int                                  // containers, so that each has an id of its own
	containers map[string]container.InspectResponse // by name
	images     map[string]image.InspectResponse     // by id and by name
	parents    map[string]string                    // of images, by id
	volumes    map[string]volume.CreateOptions      // by name
	files      map[string][]byte                    // of all containers, by path: what was copied out, or in
	modes      map[string]os.FileMode               // of those that are no regular files
	links      map[string]string                    // where those of them lead that are symbolic links
	state      string                               // the agent's directory of servers
	calls      []string
	fail       map[string]error // by method
	failOnce   map[string]error // by method, the next time only
	hang       map[string]bool  // methods, with or without their subject, that do not answer

	account  func(archive io.Reader) string // what it says about a load, having read what it likes
	logs     string
	stats    string           // of any container
	sizes    map[string]int64 // of containers' files
	warnings []string         // at any creation
	info     system.Info
	api      string        // its version
	attached chan net.Conn // the container's end of each attachment
	archive  io.Reader     // of an image that is saved
	happened chan events.Message
	failed   chan error
}

func newEngine() *engine {
	return &engine{
		containers: map[string]container.InspectResponse{},
		images:     map[string]image.InspectResponse{},
		parents:    map[string]string{},
		volumes:    map[string]volume.CreateOptions{},
		files:      map[string][]byte{},
		modes:      map[string]os.FileMode{},
		hang:       map[string]bool{},
		fail:       map[string]error{},
		failOnce:   map[string]error{},
		account:    readWhole,
		info: system.Info{
			Architecture: "x86_64", NCPU: 8, ServerVersion: "20.10.24+dfsg1", DockerRootDir: "/",
			Driver: "overlay2", DriverStatus: [][2]string{{"Backing Filesystem", "extfs"}},
		},
		api:      "1.41",
		attached: make(chan net.Conn, serialConnections),
		happened: make(chan events.Message),
		failed:   make(chan error, 1),
	}
}

var _ Docker = (*engine)(nil)

var errAway = errors.New("docker is away")

// readWhole is what an engine does that reads its input to the end.
func readWhole(archive io.Reader) string {
	if _, err := io.Copy(io.Discard, archive); err != nil {
		return `{"error":"` + err.Error() + `"}`
	}
	return `{"stream":"Loaded image ID: ` + loaded + `\n"}`
}

// did notes a call, and returns what is to go wrong with it. The caller holds no lock.
func (e *engine) did(method, subject string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, strings.TrimSpace(method+" "+subject))
	if err := e.failOnce[method]; err != nil {
		delete(e.failOnce, method)
		return err
	}
	return e.fail[method]
}

// hangs is did for a call that may not answer before its caller gives up.
func (e *engine) hangs(ctx context.Context, method, subject string) error {
	err := e.did(method, subject)
	e.mu.Lock()
	hangs := e.hang[method] || e.hang[method+" "+subject]
	e.mu.Unlock()
	if !hangs {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (e *engine) called() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.calls)
}

// put adds a container as a server's spec makes one.
func (e *engine) put(name string, labels map[string]string, status container.ContainerState) {
	defer func() { e.made++ }()
	e.containers[name] = container.InspectResponse{
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

func (e *engine) putServer(status container.ContainerState) {
	e.put(namePrefix+serverID, map[string]string{labelServer: serverID, labelName: "web"}, status)
}

// find looks a container up by name or id.
func (e *engine) find(id string) (string, container.InspectResponse, error) {
	for name, found := range e.containers {
		if name == id || found.ID == id {
			return name, found, nil
		}
	}
	return "", container.InspectResponse{}, fmt.Errorf("no such container: %s: %w", id, errdefs.ErrNotFound)
}

func (e *engine) ContainerList(ctx context.Context, options container.ListOptions) ([]container.Summary, error) {
	if err := e.hangs(ctx, "ContainerList", ""); err != nil {
		return nil, err
	}
	var all []container.Summary
	for name, found := range e.containers {
		if (options.All || found.State.Running) && options.Filters.MatchKVList("label", found.Config.Labels) {
			all = append(all, container.Summary{ID: found.ID, Names: []string{"/" + name}, Labels: found.Config.Labels, State: found.State.Status, SizeRw: e.sizes[name], ImageID: found.Image})
		}
	}
	return all, nil
}

func (e *engine) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	if err := e.hangs(ctx, "ContainerInspect", id); err != nil {
		return container.InspectResponse{}, err
	}
	_, found, err := e.find(id)
	return found, err
}

func (e *engine) ContainerCreate(_ context.Context, config *container.Config, host *container.HostConfig, _ *network.NetworkingConfig, _ *ocispec.Platform, name string) (container.CreateResponse, error) {
	if err := e.did("ContainerCreate", name); err != nil {
		return container.CreateResponse{}, err
	}
	if config.Healthcheck != nil && config.Healthcheck.StartInterval != 0 && versions.LessThan(e.api, "1.44") {
		return container.CreateResponse{}, errors.New(`"specify health-check start interval" requires API version 1.44`) // says the client
	}
	e.put(name, config.Labels, container.StateCreated)
	made := e.containers[name]
	made.Config, made.HostConfig, made.Image = config, host, config.Image
	if from := e.images[config.Image].Config; from != nil { // Docker adds the labels of the image
		labels := maps.Clone(from.Labels)
		maps.Copy(labels, config.Labels)
		made.Config.Labels = labels
	}
	e.containers[name] = made
	return container.CreateResponse{ID: made.ID, Warnings: e.warnings}, nil
}

// change does a verb to a container and sets its state.
func (e *engine) change(method, id string, status container.ContainerState) error {
	if err := e.did(method, ""); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	name, found, err := e.find(id)
	if err != nil {
		return err
	}
	e.put(name, found.Config.Labels, status)
	made := e.containers[name]
	made.ID, made.GraphDriver, made.Image = found.ID, found.GraphDriver, found.Image
	return nil
}

func (e *engine) ContainerStart(_ context.Context, id string, _ container.StartOptions) error {
	return e.change("ContainerStart", id, container.StateRunning)
}

func (e *engine) ContainerStop(_ context.Context, id string, options container.StopOptions) error {
	return e.change(fmt.Sprintf("ContainerStop(%d)", *options.Timeout), id, container.StateExited)
}

func (e *engine) ContainerRename(_ context.Context, id, name string) error {
	if err := e.did("ContainerRename", name); err != nil {
		return err
	}
	old, found, err := e.find(id)
	if err != nil {
		return err
	}
	delete(e.containers, old)
	found.Name = "/" + name
	e.containers[name] = found
	return nil
}

// errWouldHang is in place of a copy that Docker may never finish, and that holds the container's lock until then.
var errWouldHang = errors.New("the container's processes run: one of them can put a FIFO in the place of the file")

// still checks that nobody can change a container's files.
func (e *engine) still(id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, found, err := e.find(id); err != nil || found.State.Running && !found.State.Paused {
		return errors.Join(err, errWouldHang)
	}
	return nil
}

func (e *engine) ContainerStatPath(_ context.Context, id, path string) (container.PathStat, error) {
	if err := errors.Join(e.did("ContainerStatPath", path), e.still(id)); err != nil {
		return container.PathStat{}, err
	}
	content, there := e.files[path]
	mode, odd := e.modes[path]
	if !there && !odd {
		return container.PathStat{}, fmt.Errorf("no such file: %s: %w", path, errdefs.ErrNotFound)
	}
	return container.PathStat{Name: path, Size: int64(len(content)), Mode: mode, LinkTarget: e.links[path]}, nil
}

func (e *engine) CopyToContainer(_ context.Context, id, _ string, archive io.Reader, _ container.CopyToContainerOptions) error {
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
		e.files["/"+header.Name] = content
		if err := e.did("CopyToContainer", fmt.Sprintf("/%s %o %d:%d", header.Name, header.Mode, header.Uid, header.Gid)); err != nil {
			return err
		}
	}
}

func (e *engine) CopyFromContainer(_ context.Context, id, path string) (io.ReadCloser, container.PathStat, error) {
	if err := errors.Join(e.did("CopyFromContainer", path), e.still(id)); err != nil {
		return nil, container.PathStat{}, err
	}
	content, there := e.files[path]
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

func (e *engine) ContainerPause(_ context.Context, id string) error {
	return e.change("ContainerPause", id, container.StatePaused)
}

func (e *engine) ContainerUnpause(ctx context.Context, id string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return e.change("ContainerUnpause", id, container.StateRunning)
}

func (e *engine) ContainerRemove(_ context.Context, id string, options container.RemoveOptions) error {
	if err := e.did("ContainerRemove", ""); err != nil {
		return err
	}
	name, found, err := e.find(id)
	if err != nil {
		return err
	}
	if found.State.Running && !options.Force {
		return errdefs.ErrConflict
	}
	delete(e.containers, name)
	return nil
}

func (e *engine) ContainerStatsOneShot(_ context.Context, id string) (container.StatsResponseReader, error) {
	if err := e.did("ContainerStatsOneShot", id); err != nil {
		return container.StatsResponseReader{}, err
	}
	return container.StatsResponseReader{Body: io.NopCloser(strings.NewReader(e.stats))}, nil
}

func (e *engine) ContainerLogs(_ context.Context, _ string, options container.LogsOptions) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(e.logs)), e.did("ContainerLogs", "tail="+options.Tail)
}

func (e *engine) ContainerAttach(_ context.Context, _ string, options container.AttachOptions) (types.HijackedResponse, error) {
	if err := e.did("ContainerAttach", fmt.Sprintf("stream=%t stdin=%t stdout=%t", options.Stream, options.Stdin, options.Stdout)); err != nil {
		return types.HijackedResponse{}, err
	}
	agents, containers := net.Pipe()
	e.attached <- containers
	return types.NewHijackedResponse(agents, types.MediaTypeRawStream), nil
}

func (e *engine) ContainerResize(_ context.Context, _ string, options container.ResizeOptions) error {
	return e.did("ContainerResize", fmt.Sprintf("%dx%d", options.Width, options.Height))
}

func (e *engine) ContainerCommit(_ context.Context, id string, options container.CommitOptions) (container.CommitResponse, error) {
	if err := e.did("ContainerCommit", fmt.Sprintf("pause=%t", options.Pause)); err != nil {
		return container.CommitResponse{}, err
	}
	_, from, err := e.find(id)
	if err != nil {
		return container.CommitResponse{}, err
	}
	made := image.InspectResponse{ID: loaded, Os: "linux", Architecture: runtime.GOARCH, Size: 4096, Config: labelled(options.Changes)}
	if from.Image != "" {
		made.ID = "sha256:" + strings.Repeat(strconv.Itoa(e.made), 64)[:64]
		e.parents[made.ID] = from.Image
	}
	e.images[made.ID] = made
	return container.CommitResponse{ID: made.ID}, nil
}

// labelled is an image's configuration after these instructions of a Dockerfile.
func labelled(changes []string) *dockerspec.DockerOCIImageConfig {
	config := &dockerspec.DockerOCIImageConfig{}
	for _, change := range changes {
		if label, found := strings.CutPrefix(change, "LABEL "); found {
			name, value, _ := strings.Cut(label, "=")
			config.Labels = map[string]string{name: value}
		}
	}
	return config
}

func (e *engine) ImageInspect(_ context.Context, id string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	if err := e.did("ImageInspect", id); err != nil {
		return image.InspectResponse{}, err
	}
	found, ok := e.images[id]
	if !ok {
		return image.InspectResponse{}, fmt.Errorf("no such image: %s: %w", id, errdefs.ErrNotFound)
	}
	return found, nil
}

func (e *engine) ImageLoad(_ context.Context, archive io.Reader, _ ...client.ImageLoadOption) (image.LoadResponse, error) {
	if err := e.did("ImageLoad", ""); err != nil {
		return image.LoadResponse{}, err
	}
	if closer, ok := archive.(io.Closer); ok {
		defer closer.Close() // as an HTTP client does with what it sends
	}
	account := e.account(archive)
	if _, known := e.images[loaded]; !known && strings.Contains(account, loaded) {
		e.images[loaded] = image.InspectResponse{ID: loaded, Os: "linux", Architecture: runtime.GOARCH}
	}
	return image.LoadResponse{Body: io.NopCloser(strings.NewReader(account)), JSON: true}, nil
}

func (e *engine) ImageSave(context.Context, []string, ...client.ImageSaveOption) (io.ReadCloser, error) {
	return io.NopCloser(e.archive), e.did("ImageSave", "")
}

func (e *engine) ImageTag(_ context.Context, source, target string) error {
	if err := e.did("ImageTag", target); err != nil {
		return err
	}
	e.images[target] = e.images[source]
	return nil
}

func (e *engine) ImageList(_ context.Context, options image.ListOptions) ([]image.Summary, error) {
	var all []image.Summary
	for name, found := range e.images {
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
				all = append(all, image.Summary{ID: found.ID, ParentID: e.parents[found.ID], RepoTags: tags, Labels: labels})
			}
		case strings.HasPrefix(name, imageTag("")):
			all = append(all, image.Summary{ID: found.ID, RepoTags: []string{name}})
		}
	}
	return all, e.did("ImageList", "")
}

func (e *engine) VolumeCreate(_ context.Context, options volume.CreateOptions) (volume.Volume, error) {
	if err := e.did("VolumeCreate", options.Name); err != nil {
		return volume.Volume{}, err
	}
	e.volumes[options.Name] = options
	return volume.Volume{}, nil
}

func (e *engine) VolumeRemove(_ context.Context, id string, _ bool) error {
	if err := e.did("VolumeRemove", id); err != nil {
		return err
	}
	if _, there := e.volumes[id]; !there {
		return errdefs.ErrNotFound
	}
	delete(e.volumes, id)
	return nil
}

func (e *engine) isParent(id string) bool {
	for _, found := range e.images {
		if e.parents[found.ID] == id {
			return true
		}
	}
	return false
}

func (e *engine) isUsed(id string) bool {
	for _, user := range e.containers {
		if user.Image == id {
			return true
		}
	}
	return false
}

// ImageRemove goes on with the parents, unless told not to, as far as they have no name and nobody uses them. As with
// the real one, a parent with another child is a conflict: the image itself is gone by then.
func (e *engine) ImageRemove(_ context.Context, id string, options image.RemoveOptions) ([]image.DeleteResponse, error) {
	if err := e.did("ImageRemove", id); err != nil {
		return nil, err
	}
	if e.isUsed(id) || e.isParent(id) {
		return nil, errdefs.ErrConflict
	}
	parent := e.parents[id]
	delete(e.images, id)
	for options.PruneChildren && parent != "" && len(e.images[parent].RepoTags) == 0 && !e.isUsed(parent) {
		if e.isParent(parent) {
			return nil, errdefs.ErrConflict
		}
		delete(e.images, parent)
		parent = e.parents[parent]
	}
	return nil, nil
}

func (e *engine) ClientVersion() string { return e.api }

func (e *engine) ServerVersion(context.Context) (types.Version, error) {
	return types.Version{Version: "20.10.24+dfsg1", APIVersion: e.api}, e.did("ServerVersion", "")
}

func (e *engine) Info(context.Context) (system.Info, error) {
	return e.info, e.did("Info", "")
}

func (e *engine) Events(_ context.Context, options events.ListOptions) (<-chan events.Message, <-chan error) {
	_ = e.did("Events", strings.Join(labelsOf(options.Filters), ","))
	return e.happened, e.failed
}

func labelsOf(args filters.Args) []string { return args.Get("label") }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// stateOf is the directory of an engine's servers, the same in the whole of a test.
func stateOf(t *testing.T, docker Docker) string {
	t.Helper()
	engine, ok := docker.(*engine)
	if !ok {
		return t.TempDir()
	}
	if engine.state == "" {
		engine.state = t.TempDir()
	}
	return engine.state
}

// ask sends a request to an agent over this engine and returns its status and body.
func ask(t *testing.T, docker Docker, method, path, body string) (int, string) {
	t.Helper()
	return askServer(t, New(t.Context(), docker, Options{Version: "1.0", State: stateOf(t, docker)}, quiet()), method, path, body)
}

func askServer(t *testing.T, server *Server, method, path, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	server.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

// wantFault checks the status and the code of a refusal.
func wantFault(t *testing.T, status int, body string, wantStatus int, wantCode string) {
	t.Helper()
	if status != wantStatus || !strings.Contains(body, `"code":"`+wantCode+`"`) {
		t.Errorf("got %d %s, want %d with the code %s", status, body, wantStatus, wantCode)
	}
}

func wantOK(t *testing.T, status int, body string) {
	t.Helper()
	if status != http.StatusOK {
		t.Errorf("got %d %s", status, body)
	}
}

func wantCalls(t *testing.T, e *engine, want ...string) {
	t.Helper()
	if got := e.called(); !slices.Equal(got, want) {
		t.Errorf("Docker was asked for\n%q, want\n%q", got, want)
	}
}
