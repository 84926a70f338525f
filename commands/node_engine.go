package commands

import (
	"context"

	"github.com/docker/docker/client"

	"ndock/docker"
	"ndock/docker/agent/naming"
	"ndock/openstack/node/steps"
)

// engineInfo asks this machine's engine, whatever DOCKER_HOST says: it is the one that the agent will use.
func engineInfo(ctx context.Context, socket string) (steps.EngineInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	engine, err := socketEngine(socket)
	if err != nil {
		return steps.EngineInfo{}, err
	}
	defer engine.Close()
	info, err := docker.Inspect(ctx, engine)
	return steps.EngineInfo{
		Version: info.Version, LiveRestore: info.LiveRestore, Swarm: info.Swarm, Runtimes: info.Runtimes, Running: info.Running,
		Containers: len(info.Containers), Images: info.Images, LogDriver: info.LogDriver, Bridge: info.Bridge,
		Networked: info.Networked(), Servers: naming.ServerIDs(info.Containers), Runc: info.Runc, Security: info.Security,
	}, err
}

// socketEngine returns the engine behind a socket.
func socketEngine(path string) (*client.Client, error) {
	return client.NewClientWithOpts(client.WithHost("unix://"+path), client.WithAPIVersionNegotiation())
}
