package deploy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"ndock/registry/gc"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/opencontainers/go-digest"

	"ndock/registry/config"
	"ndock/registry/control"
	"ndock/registry/internal/registrytest"
	"ndock/registry/serve"
)

func TestCollectInContainer(t *testing.T) {
	socket := registryWithGarbage(t)
	freed, err := control.Collect(t.Context(), DialContainer(&inside{socket: socket, running: true}), collecting(time.Minute))
	if err != nil || freed.Blobs != 1 {
		t.Errorf("freed %+v, %v", freed, err)
	}
	_, err = control.Collect(t.Context(), DialContainer(&inside{}), collecting(time.Minute))
	registrytest.WantError(t, err, "look for the registry: it does not run on this host")
	_, err = control.Collect(t.Context(), DialContainer(&inside{socket: socket + "-none", running: true}), collecting(time.Minute))
	registrytest.WantError(t, err, "no registry listens there")
}

// inside is an engine whose container has the socket in it.
type inside struct {
	socket  string
	running bool
}

func (i *inside) ContainerInspect(context.Context, string) (container.InspectResponse, error) {
	state := &container.State{Running: i.running}
	return container.InspectResponse{Config: &container.Config{}, ContainerJSONBase: &container.ContainerJSONBase{State: state}}, nil
}

func (i *inside) ContainerExecCreate(context.Context, string, container.ExecOptions) (container.ExecCreateResponse, error) {
	return container.ExecCreateResponse{ID: "exec"}, nil
}

func (i *inside) ContainerExecAttach(ctx context.Context, _ string, _ container.ExecAttachOptions) (types.HijackedResponse, error) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		if err := control.Relay(ctx, i.socket, there, stdcopy.NewStdWriter(there, stdcopy.Stdout)); err != nil {
			fmt.Fprintf(stdcopy.NewStdWriter(there, stdcopy.Stderr), "ndock: %v\n", err)
		}
	}()
	return types.HijackedResponse{Conn: here, Reader: bufio.NewReader(here)}, nil
}

func collecting(wait time.Duration) control.Options {
	return control.Options{Options: gc.Options{Report: registrytest.Silent{}}, Wait: wait}
}

// registryWithGarbage serves a registry that has a blob of no image, and returns its control socket.
func registryWithGarbage(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "control")
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	o := config.Options{
		Listen: "127.0.0.1:0", Data: t.TempDir(), Control: socket, Log: slog.New(slog.DiscardHandler),
		Listening: func(_, url string) { ready <- url },
	}
	go func() { ended <- serve.Serve(ctx, o) }()
	t.Cleanup(func() { cancel(); <-ended })
	blob := []byte("nobody's")
	started, err := http.Post(<-ready+"/v2/app/blobs/uploads/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	started.Body.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, started.Header.Get("Location")+"&digest="+digest.FromBytes(blob).String(), bytes.NewReader(blob))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil || answer.Body.Close() != nil || answer.StatusCode != http.StatusCreated {
		t.Fatalf("push a blob: %v, %v", answer, err)
	}
	return socket
}
