package docker

import (
	"context"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
)

// Info describes an engine to whoever makes its host a compute node.
type Info struct {
	Version     string
	LiveRestore bool              // containers run on without the engine
	Swarm       bool              // it is part of one
	Runtimes    map[string]string // their programs, by their names
	Running     int               // containers, paused ones included
	Images      int
	LogDriver   string              // of containers that name none
	Bridge      bool                // it has its default one
	Containers  []container.Summary // all of them
	Runc        string              // its version; empty where the engine does not tell
	Security    []string            // what confines containers, as in `docker info`: apparmor, seccomp, selinux, userns
}

// InfoAPI is what Inspect asks an engine.
type InfoAPI interface {
	Info(ctx context.Context) (system.Info, error)
	ServerVersion(ctx context.Context) (types.Version, error)
	ContainerList(ctx context.Context, options container.ListOptions) ([]container.Summary, error)
	NetworkInspect(ctx context.Context, id string, options network.InspectOptions) (network.Inspect, error)
}

var _ InfoAPI = (*client.Client)(nil)

// Inspect asks an engine about itself. Its errors are those of the engine's client.
func Inspect(ctx context.Context, engine InfoAPI) (Info, error) {
	info, err := engine.Info(ctx)
	if err != nil {
		return Info{}, err
	}
	bridge, err := hasBridge(ctx, engine)
	if err != nil {
		return Info{}, err
	}
	containers, err := engine.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return Info{}, err
	}
	version, err := engine.ServerVersion(ctx)
	return Info{
		Version: info.ServerVersion, LiveRestore: info.LiveRestoreEnabled, Swarm: info.Swarm.LocalNodeState == swarm.LocalNodeStateActive,
		Runtimes: runtimePrograms(info.Runtimes), Running: info.ContainersRunning + info.ContainersPaused, Images: info.Images,
		LogDriver: info.LoggingDriver, Bridge: bridge, Containers: containers,
		Runc: runcVersion(version.Components), Security: securityNames(info.SecurityOptions),
	}, err
}

// Networked returns the names of the containers, running or not, that use a network of Docker's.
func (i Info) Networked() []string {
	var names []string
	for _, one := range i.Containers {
		mode := container.NetworkMode(one.HostConfig.NetworkMode)
		if !mode.IsNone() && !mode.IsHost() && !mode.IsContainer() && (i.Bridge || !mode.IsDefault()) {
			names = append(names, strings.TrimPrefix(append(one.Names, one.ID)[0], "/"))
		}
	}
	slices.Sort(names)
	return names
}

func hasBridge(ctx context.Context, engine InfoAPI) (bool, error) {
	_, err := engine.NetworkInspect(ctx, network.NetworkBridge, network.InspectOptions{})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

func runtimePrograms(runtimes map[string]system.RuntimeWithStatus) map[string]string {
	programs := map[string]string{}
	for name, one := range runtimes {
		programs[name] = one.Path
	}
	return programs
}

// runcVersion is empty where the engine tells of no runc.
func runcVersion(components []types.ComponentVersion) string {
	for _, one := range components {
		if one.Name == "runc" {
			return one.Version
		}
	}
	return ""
}

// securityNames returns the names in options like "name=seccomp,profile=default".
func securityNames(options []string) []string {
	var names []string
	for _, option := range options {
		for word := range strings.SplitSeq(option, ",") {
			if name, ok := strings.CutPrefix(word, "name="); ok {
				names = append(names, name)
			}
		}
	}
	return names
}
