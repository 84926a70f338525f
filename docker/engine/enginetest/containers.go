package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/versions"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/docker/agent/naming"
)

// Put adds a container as a server's spec makes one.
func (e *Engine) Put(name string, labels map[string]string, status container.ContainerState) {
	defer func() { e.Made++ }()
	e.Containers[name] = container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: strings.Repeat(fmt.Sprintf("%02x", byte(0xcc+0x11*e.Made)), 32), Name: "/" + name, State: stateOf(status),
		},
		Config: &container.Config{Labels: labels, Tty: true, OpenStdin: true},
	}
}

func stateOf(status container.ContainerState) *container.State {
	state := &container.State{Status: status, Pid: os.Getpid(), Paused: status == container.StatePaused}
	state.Running = state.Paused || status == container.StateRunning
	return state
}

// PutServer adds the container of the server.
func (e *Engine) PutServer(status container.ContainerState) {
	e.Put(naming.Container(ServerID), map[string]string{naming.LabelServer: ServerID, naming.LabelName: "web"}, status)
}

// PutOther adds a running container that is no server's.
func (e *Engine) PutOther(name string, labels map[string]string, memory int64) {
	e.Put(name, labels, container.StateRunning)
	found := e.Containers[name]
	found.ID = strings.Repeat("f", 60) + name
	found.HostConfig = &container.HostConfig{Resources: container.Resources{Memory: memory}}
	e.Containers[name] = found
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
	e.Mu.Lock()
	defer e.Mu.Unlock()
	var all []container.Summary
	for _, name := range slices.Sorted(maps.Keys(e.Containers)) {
		found := e.Containers[name]
		if !options.All && !found.State.Running || !options.Filters.MatchKVList("label", found.Config.Labels) {
			continue
		}
		one := container.Summary{ID: found.ID, Names: []string{"/" + name}, Labels: found.Config.Labels, State: found.State.Status, ImageID: found.Image}
		if options.Size {
			one.SizeRw = e.Sizes[name]
		}
		all = append(all, one)
	}
	return all, nil
}

func (e *Engine) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	if err := e.hangs(ctx, "ContainerInspect", id); err != nil {
		return container.InspectResponse{}, err
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	_, found, err := e.Find(id)
	if err != nil {
		return container.InspectResponse{}, err
	}
	text, err := json.Marshal(found) // a copy, as over the wire
	if err != nil {
		return container.InspectResponse{}, err
	}
	var answer container.InspectResponse
	return answer, json.Unmarshal(text, &answer)
}

func (e *Engine) ContainerCreate(_ context.Context, config *container.Config, host *container.HostConfig, _ *network.NetworkingConfig, _ *ocispec.Platform, name string) (container.CreateResponse, error) {
	if err := e.did("ContainerCreate", name); err != nil {
		return container.CreateResponse{}, err
	}
	if config.Healthcheck != nil && config.Healthcheck.StartInterval != 0 && versions.LessThan(e.API, "1.44") {
		return container.CreateResponse{}, errors.New(`"specify health-check start interval" requires API version 1.44`) // says the client
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	if name == "" {
		name = fmt.Sprint("nameless_", e.Made)
	}
	if _, taken := e.Containers[name]; taken {
		return container.CreateResponse{}, nameTaken(name)
	}
	from, err := e.image(config.Image)
	if err != nil {
		return container.CreateResponse{}, err
	}
	if err := e.mount(host); err != nil {
		return container.CreateResponse{}, err
	}
	made := e.create(name, from, config, host)
	e.tell(events.ActionCreate, made)
	return container.CreateResponse{ID: made.ID, Warnings: e.Warnings}, nil
}

// create adds the container that ContainerCreate makes.
func (e *Engine) create(name string, from image.InspectResponse, config *container.Config, host *container.HostConfig) container.InspectResponse {
	e.Put(name, config.Labels, container.StateCreated)
	made := e.Containers[name]
	made.Config, made.HostConfig, made.Image = config, host, from.ID
	if from.Config != nil { // Docker adds the labels of the image
		labels := map[string]string{}
		maps.Copy(labels, from.Config.Labels)
		maps.Copy(labels, config.Labels)
		made.Config.Labels = labels
	}
	e.Containers[name] = made
	return made
}

func nameTaken(name string) error {
	return fmt.Errorf("the container name %q is already in use: %w", "/"+name, errdefs.ErrConflict)
}

func (e *Engine) ContainerRename(_ context.Context, id, name string) error {
	if err := e.did("ContainerRename", name); err != nil {
		return err
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	old, found, err := e.Find(id)
	if err != nil {
		return err
	}
	if _, taken := e.Containers[name]; taken {
		return nameTaken(name)
	}
	delete(e.Containers, old)
	found.Name = "/" + name
	e.Containers[name] = found
	return nil
}

func (e *Engine) ContainerRemove(_ context.Context, id string, options container.RemoveOptions) error {
	if err := e.did("ContainerRemove", ""); err != nil {
		return err
	}
	e.Mu.Lock()
	name, found, err := e.Find(id)
	e.Mu.Unlock()
	if err != nil {
		return err
	}
	if found.State.Running && !options.Force {
		return fmt.Errorf("you cannot remove a running container: %w", errdefs.ErrConflict)
	}
	if err := e.end(found); err != nil {
		return err
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	delete(e.Containers, name)
	e.tell(events.ActionDestroy, found)
	return nil
}
