package docker

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/api/types/system"
)

// describedEngine answers what Inspect asks.
type describedEngine struct {
	info       system.Info
	version    types.Version
	containers []container.Summary
	noBridge   error
}

func (e describedEngine) Info(context.Context) (system.Info, error) { return e.info, nil }

func (e describedEngine) ServerVersion(context.Context) (types.Version, error) { return e.version, nil }

func (e describedEngine) ContainerList(_ context.Context, o container.ListOptions) ([]container.Summary, error) {
	if !o.All {
		return nil, errors.New("stopped containers are left out")
	}
	return e.containers, nil
}

func (e describedEngine) NetworkInspect(context.Context, string, network.InspectOptions) (network.Inspect, error) {
	return network.Inspect{}, e.noBridge
}

func withNetwork(name, mode string) container.Summary {
	one := container.Summary{ID: "id-of-" + name, Names: []string{"/" + name}}
	one.HostConfig.NetworkMode = mode
	return one
}

func TestInspect(t *testing.T) {
	t.Parallel()
	engine := describedEngine{
		info: system.Info{
			ServerVersion: "26.1.5", LiveRestoreEnabled: true, Swarm: swarm.Info{LocalNodeState: swarm.LocalNodeStateActive},
			Runtimes: map[string]system.RuntimeWithStatus{"runc": {Runtime: system.Runtime{Path: "runc"}}, "ndock": {Runtime: system.Runtime{Path: "/program"}}}, ContainersRunning: 2, ContainersPaused: 1, Images: 4,
			LoggingDriver: "json-file", SecurityOptions: []string{"name=apparmor", "name=seccomp,profile=builtin", "rootless"},
		},
		version: types.Version{Components: []types.ComponentVersion{{Name: "Engine", Version: "26.1.5"}, {Name: "runc", Version: "1.1.15"}}},
	}
	got, err := Inspect(t.Context(), engine)
	want := Info{
		Version: "26.1.5", LiveRestore: true, Swarm: true, Runtimes: map[string]string{"ndock": "/program", "runc": "runc"}, Running: 3, Images: 4,
		LogDriver: "json-file", Bridge: true, Runc: "1.1.15", Security: []string{"apparmor", "seccomp"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, got\n%+v\nwant\n%+v", err, got, want)
	}
}

// TestNetworked: without Docker's bridge, what would be on it by default is on no network.
func TestNetworked(t *testing.T) {
	t.Parallel()
	unnamed := withNetwork("unnamed", "site")
	unnamed.Names = nil
	engine := describedEngine{containers: []container.Summary{
		withNetwork("web", "default"), withNetwork("db", "site"), withNetwork("server", "none"), withNetwork("monitor", "host"),
		withNetwork("sidecar", "container:web"), unnamed,
	}}
	for _, missing := range []error{nil, errdefs.ErrNotFound} {
		engine.noBridge = missing
		info, err := Inspect(t.Context(), engine)
		want := []string{"db", "id-of-unnamed"}
		if missing == nil {
			want = append(want, "web")
		}
		if got := info.Networked(); err != nil || info.Bridge != (missing == nil) || !slices.Equal(got, want) {
			t.Errorf("bridge missing: %v: %v, %v, want %v", missing, err, got, want)
		}
	}
	engine.noBridge = errors.New("the engine is away")
	if _, err := Inspect(t.Context(), engine); !errors.Is(err, engine.noBridge) {
		t.Errorf("the failure is %v", err)
	}
}
