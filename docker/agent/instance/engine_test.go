package instance_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"ndock/docker"
	"ndock/docker/agent"
	"ndock/docker/agent/diskspace"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
	"ndock/docker/engine"
	"ndock/docker/engine/enginetest"
)

// onEngine is a real Docker Engine with an image of busybox.
func onEngine(t *testing.T) (on *client.Client, id string) {
	t.Helper()
	host := os.Getenv("NDOCK_ENGINE")
	if host == "" {
		t.Skip("NDOCK_ENGINE names no Docker Engine to test")
	}
	on, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { on.Close() })
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("read the program that containers run: %v: install busybox-static", err)
	}
	layer := enginetest.Tar("bin/busybox", string(busybox))
	id, err = docker.LoadImage(t.Context(), on, bytes.NewReader(enginetest.Tar("0.tar", string(layer),
		"config.json", fmt.Sprintf(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[%q]}}`, digest.FromBytes(layer)),
		"manifest.json", `[{"Config":"config.json","Layers":["0.tar"]}]`)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := on.ImageRemove(context.Background(), id, image.RemoveOptions{PruneChildren: true}); err != nil {
			t.Error(err)
		}
	})
	return on, id
}

// start starts a server's container that does this and then sleeps.
func start(t *testing.T, on *client.Client, image, does string) (server string) {
	t.Helper()
	server = uuid.NewString()
	config := &container.Config{
		Image: image, NetworkDisabled: true, Labels: map[string]string{naming.LabelServer: server},
		Entrypoint: []string{"/bin/busybox", "sh", "-c", does + " && /bin/busybox touch /done; exec /bin/busybox sleep 1000"},
	}
	made, err := on.ContainerCreate(t.Context(), config, nil, nil, nil, naming.Container(server))
	if err == nil {
		t.Cleanup(func() {
			if err := on.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true}); err != nil {
				t.Error(err)
			}
		})
		err = on.ContainerStart(t.Context(), made.ID, container.StartOptions{})
	}
	for there := false; err == nil && !there; {
		_, statErr := on.ContainerStatPath(t.Context(), made.ID, "/done")
		there, err = statErr == nil, t.Context().Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// TestCommitsOfAnEngine wants one that can run containers, see layerfiles' TestAnEngine. A copy of what a server says to have may not
// fit on its disk, which Docker would fill with it.
func TestCommitsOfAnEngine(t *testing.T) {
	docker, id := onEngine(t)
	info, err := docker.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Driver != "overlay2" || engine.InContainerd(info) {
		t.Skipf("with %s only Docker measures a container's files", info.Driver)
	}
	s := newInstances(docker, instance.Options{State: t.TempDir()})
	for does, fits := range map[string]bool{
		"/bin/busybox truncate -s 1M /x": true,
		"cd /; for n in 1 2 3 4 5 6 7 8 9 10; do /bin/busybox truncate -s 15000G x$n || exit; done": false,
	} {
		server := start(t, docker, id, does)
		before := freeOn(t, info.DockerRootDir)
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Snapshots.Hold(ctx, server, func(agent.Commit) error { cancel(); return nil })
		cancel()
		if fits && err != nil || !fits && (agent.CodeOf(err) != agent.BadRequest || !strings.Contains(err.Error(), "there is no room")) {
			t.Errorf("%s: got %v", does, err)
		}
		if after := freeOn(t, info.DockerRootDir); before-after > 100<<20 {
			t.Errorf("%s: %d bytes were free, and now %d", does, before, after)
		}
		found, err := docker.ContainerInspect(t.Context(), naming.Container(server))
		if err != nil || !found.State.Running || found.State.Paused {
			t.Errorf("%s: the server is %+v, %v", does, found.State, err)
		}
	}
}

func freeOn(t *testing.T, directory string) int64 {
	t.Helper()
	free, err := diskspace.FreeOn(directory)
	if err != nil {
		t.Fatal(err)
	}
	return free.Bytes
}
