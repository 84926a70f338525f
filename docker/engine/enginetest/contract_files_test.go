package enginetest_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"ndock/docker/engine/enginetest"
)

// checkFiles: files can be put into a container that does not run, and read there.
func checkFiles(t *testing.T, on *bench) {
	id := on.create(t, "a", on.load(t))
	must(t, "copy in", on.CopyToContainer(t.Context(), id, "/", bytes.NewReader(enginetest.Tar("etc/motd", "hello")), container.CopyToContainerOptions{}))
	stat, err := on.ContainerStatPath(t.Context(), id, "/etc/motd")
	if must(t, "stat", err); stat.Name != "motd" || stat.Size != 5 || !stat.Mode.IsRegular() {
		t.Errorf("it is %+v", stat)
	}
	out, stat, err := on.CopyFromContainer(t.Context(), id, "/etc/motd")
	must(t, "copy out", err)
	defer out.Close()
	if text := fileIn(t, out, "motd"); string(text) != "hello" || stat.Name != "motd" {
		t.Errorf("got %q as %+v", text, stat)
	}
	_, err = on.ContainerStatPath(t.Context(), id, "/etc/nothing")
	want(t, "stat a missing file", err, errdefs.IsNotFound)
	_, _, err = on.CopyFromContainer(t.Context(), id, "/etc/nothing")
	want(t, "copy a missing file", err, errdefs.IsNotFound)
}

func (b *bench) volume(t *testing.T, name string) {
	t.Cleanup(func() { _ = b.VolumeRemove(context.Background(), b.named(name), true) }) // it may be gone
}

func mounting(name string) *container.HostConfig {
	return &container.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeVolume, Source: name, Target: "/data"}}}
}

func checkVolumes(t *testing.T, on *bench) {
	image := on.load(t)
	on.volume(t, "a")
	on.volume(t, "b")
	_, err := on.VolumeInspect(t.Context(), on.named("a"))
	want(t, "inspect a missing volume", err, errdefs.IsNotFound)
	want(t, "remove a missing volume", on.VolumeRemove(t.Context(), on.named("a"), false), errdefs.IsNotFound)
	for range 2 {
		_, err = on.VolumeCreate(t.Context(), volume.CreateOptions{Name: on.named("a"), Driver: "local"})
		want(t, "make a volume", err, nil) // the second time it is there
	}
	id, err := on.tryCreate(t, "user", image, mounting(on.named("b")))
	must(t, "create with a volume that is not there", err)
	for _, name := range []string{"a", "b"} {
		found, err := on.VolumeInspect(t.Context(), on.named(name))
		if want(t, "inspect", err, nil); found.Name != on.named(name) {
			t.Errorf("found %+v", found)
		}
	}
	want(t, "remove a volume", on.VolumeRemove(t.Context(), on.named("a"), false), nil)
	want(t, "remove a volume that is used", on.VolumeRemove(t.Context(), on.named("b"), false), errdefs.IsConflict)
	must(t, "remove the container", on.ContainerRemove(t.Context(), id, container.RemoveOptions{}))
	want(t, "remove a volume that was used", on.VolumeRemove(t.Context(), on.named("b"), false), nil)
}

// checkVolumeFiles: what one container has in a volume, the next one has too; a directory is copied with its name.
func checkVolumeFiles(t *testing.T, on *bench) {
	image := on.load(t)
	on.volume(t, "a")
	first, err := on.tryCreate(t, "first", image, mounting(on.named("a")))
	must(t, "create", err)
	must(t, "copy in", on.CopyToContainer(t.Context(), first, "/data", bytes.NewReader(enginetest.Tar("one", "1", "two", "22")), container.CopyToContainerOptions{}))
	must(t, "remove", on.ContainerRemove(t.Context(), first, container.RemoveOptions{}))
	second, err := on.tryCreate(t, "second", image, mounting(on.named("a")))
	must(t, "create", err)
	out, _, err := on.CopyFromContainer(t.Context(), second, "/data")
	must(t, "copy out", err)
	defer out.Close()
	text, err := io.ReadAll(out)
	must(t, "read", err)
	header, err := tar.NewReader(bytes.NewReader(text)).Next()
	if must(t, "read", err); header.Typeflag != tar.TypeDir || header.Name != "data/" {
		t.Errorf("it begins with %+v", header)
	}
	if one, two := fileIn(t, bytes.NewReader(text), "data/one"), fileIn(t, bytes.NewReader(text), "data/two"); string(one) != "1" || string(two) != "22" {
		t.Errorf("got %q and %q", one, two)
	}
}
