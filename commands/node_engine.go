package commands

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

	"ndock/docker/agent/naming"
	"ndock/openstack/node/steps"
)

// engineInfo asks this machine's engine, whatever DOCKER_HOST says: it is the one that the agent will use.
func engineInfo(ctx context.Context, socket string) (steps.EngineInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	engine, err := client.NewClientWithOpts(client.WithHost("unix://"+socket), client.WithAPIVersionNegotiation())
	if err != nil {
		return steps.EngineInfo{}, err
	}
	defer engine.Close()
	info, err := engine.Info(ctx)
	if err != nil {
		return steps.EngineInfo{}, err
	}
	bridge, err := hasBridge(ctx, engine)
	if err != nil {
		return steps.EngineInfo{}, err
	}
	all, err := engine.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return steps.EngineInfo{}, err
	}
	version, err := engine.ServerVersion(ctx)
	return steps.EngineInfo{
		Version: info.ServerVersion, LiveRestore: info.LiveRestoreEnabled, Swarm: info.Swarm.LocalNodeState == swarm.LocalNodeStateActive,
		Runtimes: runtimePaths(info.Runtimes), Running: info.ContainersRunning + info.ContainersPaused,
		Containers: info.Containers, Images: info.Images, LogDriver: info.LoggingDriver, Bridge: bridge,
		Networked: networked(all, bridge), Servers: naming.ServerIDs(all),
		Runc: runcVersion(version.Components), Security: securityNames(info.SecurityOptions),
	}, err
}

// runtimePaths returns the programs of runtimes, by their names.
func runtimePaths(runtimes map[string]system.RuntimeWithStatus) map[string]string {
	paths := map[string]string{}
	for name, one := range runtimes {
		paths[name] = one.Path
	}
	return paths
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

// securityNames are the names in options like "name=seccomp,profile=default".
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

func hasBridge(ctx context.Context, engine *client.Client) (bool, error) {
	_, err := engine.NetworkInspect(ctx, network.NetworkBridge, network.InspectOptions{})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// networked are the names of the containers, whether they run or not, that have a network of Docker's making.
func networked(all []container.Summary, bridge bool) []string {
	var names []string
	for _, one := range all {
		mode := container.NetworkMode(one.HostConfig.NetworkMode)
		if !mode.IsNone() && !mode.IsHost() && !mode.IsContainer() && (bridge || !mode.IsDefault()) {
			names = append(names, strings.TrimPrefix(append(one.Names, one.ID)[0], "/"))
		}
	}
	slices.Sort(names)
	return names
}
