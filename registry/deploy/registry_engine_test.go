package deploy

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/pkg/stdcopy"

	"ndock/docker/engine/enginetest"
	"ndock/registry/config"
	"ndock/registry/internal/registrytest"
	"ndock/registry/serve"
)

// registryEngine is an engine whose containers are the registries that it is told to run, in this process.
type registryEngine struct {
	*enginetest.Engine
	t        *testing.T
	running  map[string]runningRegistry // by container's id
	breaks   string                     // what the program says instead of serving
	restarts bool                       // it is started again before anybody looks
}

type runningRegistry struct {
	end   context.CancelFunc
	ended chan error
}

var _ Engine = (*registryEngine)(nil)

func newRegistryEngine(t *testing.T) *registryEngine {
	e := &registryEngine{Engine: enginetest.New(), t: t, running: map[string]runningRegistry{}}
	e.VolumesDir, e.Started, e.Stopped = t.TempDir(), e.run, e.stop
	return e
}

// only is the one container that there is.
func (e *registryEngine) only() container.InspectResponse {
	e.t.Helper()
	if len(e.Containers) != 1 {
		e.t.Fatalf("there are %d containers", len(e.Containers))
	}
	for _, found := range e.Containers {
		return found
	}
	panic("unreachable")
}

// images are the ids of all.
func (e *registryEngine) images() []string {
	found, err := e.ImageList(context.Background(), image.ListOptions{All: true})
	if err != nil {
		e.t.Fatal(err)
	}
	var ids []string
	for _, one := range found {
		ids = append(ids, one.ID)
	}
	return ids
}

func (e *registryEngine) ImageImport(ctx context.Context, source image.ImportSource, ref string, o image.ImportOptions) (io.ReadCloser, error) {
	answer, err := e.Engine.ImageImport(ctx, source, ref, o)
	if err == nil && !slices.Contains(e.Imported, "ndock") {
		e.t.Errorf("the image has no program: %v", e.Imported)
	}
	return answer, err
}

// run has the registry of a container run.
func (e *registryEngine) run(found *container.InspectResponse) {
	if e.breaks != "" {
		e.fail(found)
		return
	}
	options, ready := e.options(found.Config.Cmd), make(chan string, 1)
	options.Listening = func(_, url string) { ready <- url }
	ctx, cancel := context.WithCancel(context.Background())
	one := runningRegistry{cancel, make(chan error, 1)}
	go func() { one.ended <- serve.Serve(ctx, options) }()
	select {
	case <-ready:
		found.State.StartedAt = time.Now().Format(time.RFC3339Nano)
		e.running[found.ID] = one
	case err := <-one.ended:
		e.t.Errorf("the registry ended: %v", err)
		cancel()
		e.says(found.ID, "ndock: "+err.Error()+"\n")
		*found.State = container.State{Status: container.StateExited, ExitCode: 1}
	}
}

// fail is run of a program that ends at once, and that the engine starts again now or later.
func (e *registryEngine) fail(found *container.InspectResponse) {
	e.says(found.ID, e.breaks)
	*found.State = container.State{Status: container.StateRestarting, ExitCode: 1, Restarting: true}
	if e.restarts { // already
		*found.State = container.State{Status: container.StateRunning, Running: true}
		found.RestartCount = 1
	}
	e.breaks = ""
}

// says is what the program of a container writes.
func (e *registryEngine) says(id, text string) {
	var log bytes.Buffer
	if _, err := stdcopy.NewStdWriter(&log, stdcopy.Stderr).Write([]byte(text)); err != nil {
		e.t.Error(err)
	}
	e.LogOf[id] = log.String()
}

// stop ends the registry of a container.
func (e *registryEngine) stop(id string) error {
	one, runs := e.running[id]
	if !runs {
		return nil
	}
	delete(e.running, id)
	one.end()
	return <-one.ended
}

// options are those that the container's command line stands for, its paths those of the volumes here.
func (e *registryEngine) options(command []string) config.Options {
	here := filepath.Join(e.VolumesDir, configVolume)
	o := config.Options{Log: slog.New(slog.DiscardHandler), OpenGlance: noGlance}
	for i, word := range command {
		value := func() string {
			return strings.NewReplacer(configDir, here, config.DataDir, filepath.Join(e.VolumesDir, dataVolume)).Replace(command[i+1])
		}
		switch word {
		case "--config":
			text, err := os.ReadFile(value())
			if err != nil {
				e.t.Error(err)
			}
			o.Config = registrytest.Write(e.t, bytes.ReplaceAll(text, []byte(configDir), []byte(here)))
			if !bytes.Contains(text, []byte("s3:")) && !bytes.Contains(text, []byte("glance: {}")) {
				o.Data = filepath.Join(e.VolumesDir, dataVolume)
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
