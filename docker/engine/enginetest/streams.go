package enginetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
)

func (e *Engine) ContainerStatsOneShot(_ context.Context, id string) (container.StatsResponseReader, error) {
	if err := e.did("ContainerStatsOneShot", id); err != nil {
		return container.StatsResponseReader{}, err
	}
	if _, err := e.find(id); err != nil {
		return container.StatsResponseReader{}, err
	}
	return container.StatsResponseReader{Body: io.NopCloser(strings.NewReader(e.Stats))}, nil
}

func (e *Engine) ContainerLogs(_ context.Context, id string, options container.LogsOptions) (io.ReadCloser, error) {
	if err := e.did("ContainerLogs", "tail="+options.Tail); err != nil {
		return nil, err
	}
	found, err := e.find(id)
	if err != nil {
		return nil, err
	}
	log, own := e.LogOf[found.ID]
	if !own {
		log = e.Logs
	}
	return io.NopCloser(strings.NewReader(log)), nil
}

func (e *Engine) ContainerAttach(_ context.Context, id string, options container.AttachOptions) (types.HijackedResponse, error) {
	if err := e.did("ContainerAttach", fmt.Sprintf("stream=%t stdin=%t stdout=%t", options.Stream, options.Stdin, options.Stdout)); err != nil {
		return types.HijackedResponse{}, err
	}
	if _, err := e.find(id); err != nil {
		return types.HijackedResponse{}, err
	}
	agents, containers := net.Pipe()
	e.Attached <- containers
	return types.NewHijackedResponse(agents, types.MediaTypeRawStream), nil
}

func (e *Engine) ContainerResize(_ context.Context, id string, options container.ResizeOptions) error {
	if err := e.did("ContainerResize", fmt.Sprintf("%dx%d", options.Width, options.Height)); err != nil {
		return err
	}
	_, err := e.find(id)
	return err
}
