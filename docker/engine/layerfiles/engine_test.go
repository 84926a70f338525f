package layerfiles_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/opencontainers/go-digest"

	"ndock/docker"
	"ndock/docker/engine/enginetest"
	"ndock/docker/engine/layerfiles"
)

// inside is what a tenant does to the files of a server.
const inside = `
cd /work; rm old; mkdir new; echo x >new/file; ln new/file new/hard; ln -s /etc/shadow new/soft; mkfifo new/fifo; echo >"$(printf 'odd\377\nname')"
dd if=/dev/zero of=sparse bs=1 count=1 seek=300M; : >"$(printf '%0200d' 1)"; for n in $(seq 10000); do echo $n >new/$n; done
rm -r dir; mkdir dir; echo again >dir/file; chmod 4755 new/file; chown 1234:4321 new/hard`

// TestAnEngine wants one that can run containers, with overlay2 on this machine: NDOCK_ENGINE=unix:///var/run/docker.sock.
func TestAnEngine(t *testing.T) {
	host := os.Getenv("NDOCK_ENGINE")
	if host == "" {
		t.Skip("NDOCK_ENGINE names no Docker Engine to test")
	}
	engine, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	id := changed(t, engine, loaded(t, engine))
	info, err := engine.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	store, err := layerfiles.Of(info, new(layerfiles.Sizes))
	if err != nil {
		t.Skip(err)
	}
	found, err := engine.ImageInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if config, err := store.Config(digest.Digest(found.ID)); err != nil || !bytes.Contains(config, []byte(found.RootFS.Layers[0])) {
		t.Errorf("its configuration: %s, %v", config, err)
	}
	var diffIDs []digest.Digest
	for _, one := range found.RootFS.Layers {
		diffIDs = append(diffIDs, digest.Digest(one))
	}
	layers, err := store.Layers(t.Context(), diffIDs)
	if err != nil || len(layers) != 4 {
		t.Fatalf("got %d layers, %v", len(layers), err)
	}
	for n, layer := range layers {
		content, err := layer.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		size, err := io.Copy(io.Discard, content) // which compares the digest
		if content.Close(); err != nil || size != layer.Size {
			t.Errorf("layer %d: got %d bytes of %d, %v", n+1, size, layer.Size, err)
		}
	}
}

// loaded loads an image of three layers, and returns its id.
func loaded(t *testing.T, engine *client.Client) string {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("read the program that containers run: %v: install busybox-static", err)
	}
	layers := [][]byte{
		enginetest.Tar("bin/busybox", string(busybox)),
		layerOf(t,
			tar.Header{Name: "work/", Typeflag: tar.TypeDir, Mode: 0o755}, tar.Header{Name: "work/old", Size: 1}, tar.Header{Name: "work/dir/file", Size: 1},
			tar.Header{Name: "work/odd \xff\xfe \" name", Size: 100}, tar.Header{Name: "/absolute", Size: 3}, tar.Header{Name: "a/../b/./c", Size: 3},
			tar.Header{Name: "hard", Typeflag: tar.TypeLink, Linkname: "b/c"}, tar.Header{Name: "gnu", Size: 9, Format: tar.FormatGNU},
			tar.Header{Name: strings.Repeat("long/", 60) + "name", Size: 5},
			tar.Header{Name: "attributes", Size: 9, PAXRecords: map[string]string{"SCHILY.xattr.user.note": strings.Repeat("x", 2000)}},
		),
		append(layerOf(t, tar.Header{Name: "work/dir/.wh.file"}, tar.Header{Name: "b/.wh..wh..opq"}), make([]byte, 3<<20)...),
	}
	var diffIDs []string
	for _, layer := range layers {
		diffIDs = append(diffIDs, fmt.Sprintf("%q", digest.FromBytes(layer)))
	}
	archive := enginetest.Tar(
		"0.tar", string(layers[0]), "1.tar", string(layers[1]), "2.tar", string(layers[2]),
		"config.json", `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[`+strings.Join(diffIDs, ",")+`]}}`,
		"manifest.json", `[{"Config":"config.json","Layers":["0.tar","1.tar","2.tar"]}]`,
	)
	id, err := docker.LoadImage(t.Context(), engine, bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	removeLater(t, engine, id)
	return id
}

func removeLater(t *testing.T, engine *client.Client, id string) {
	t.Cleanup(func() {
		if _, err := engine.ImageRemove(context.Background(), id, image.RemoveOptions{PruneChildren: true}); err != nil {
			t.Error(err)
		}
	})
}

// changed has a container of the image change its files, and returns the image that is made of them.
func changed(t *testing.T, engine *client.Client, from string) string {
	t.Helper()
	ctx := t.Context()
	made, err := engine.ContainerCreate(ctx, &container.Config{Image: from, NetworkDisabled: true, Entrypoint: []string{"/bin/busybox", "sh", "-c", "/bin/busybox mkdir -p /sbin; /bin/busybox --install /bin;" + inside}}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	})
	ended, failed := engine.ContainerWait(ctx, made.ID, container.WaitConditionNextExit)
	if err := engine.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case status := <-ended:
		if status.StatusCode != 0 {
			t.Fatalf("the container ended with %+v", status)
		}
	case err := <-failed:
		t.Fatal(err)
	}
	committed, err := engine.ContainerCommit(ctx, made.ID, container.CommitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	removeLater(t, engine, committed.ID)
	return committed.ID
}
