package enginetest_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"ndock/docker"
	"ndock/docker/engine"
	"ndock/docker/engine/enginetest"
)

const noImage = "ndock/contract:nobody-has-this"

// checkLoad: what was loaded can be inspected and saved.
func checkLoad(t *testing.T, on *bench) {
	id := on.load(t)
	found, err := on.ImageInspect(t.Context(), id)
	must(t, "inspect", err)
	if found.ID != id || found.Os != "linux" || len(found.RootFS.Layers) != 1 || found.Config.Labels[on.label] != "1" || len(found.RepoTags) > 0 {
		t.Errorf("loaded as %+v", found)
	}
	saved, err := on.ImageSave(t.Context(), []string{id})
	must(t, "save", err)
	defer saved.Close()
	var manifest []struct{ Layers []string }
	if text := fileIn(t, saved, "manifest.json"); json.Unmarshal(text, &manifest) != nil || len(manifest) != 1 || len(manifest[0].Layers) != 1 {
		t.Errorf("saved with the manifest %s", text)
	}
	_, err = on.ImageSave(t.Context(), []string{noImage})
	want(t, "save a missing image", err, anyError)
	_, err = on.ImageInspect(t.Context(), noImage)
	want(t, "inspect a missing image", err, errdefs.IsNotFound)
}

// fileIn reads a tar to its end, and returns one of its files.
func fileIn(t *testing.T, archive io.Reader, name string) (content []byte) {
	t.Helper()
	for in := tar.NewReader(archive); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return content
		}
		must(t, "read the archive", err)
		if header.Name == name {
			content, err = io.ReadAll(in)
			must(t, "read "+name, err)
		}
	}
}

func checkLoadRefuses(t *testing.T, on *bench) {
	for name, archive := range map[string][]byte{
		"no tar": []byte(strings.Repeat("nonsense", 200)), "no image": enginetest.Tar("hello", "world"), "cut off": on.archive(1)[:700],
	} {
		_, err := docker.LoadImage(t.Context(), on, bytes.NewReader(archive))
		want(t, "load an archive that is "+name, err, anyError)
	}
}

// checkNames: a name is one image's, and the last name goes with the image.
func checkNames(t *testing.T, on *bench) {
	first, second, a, b := on.load(t), on.load(t), on.tag("a"), on.tag("b")
	want(t, "name a missing image", on.ImageTag(t.Context(), noImage, a), errdefs.IsNotFound)
	must(t, "name", on.ImageTag(t.Context(), first, a))
	must(t, "name again", on.ImageTag(t.Context(), a, b))
	on.wantNames(t, first, a, b)
	found, err := on.ImageInspect(t.Context(), a)
	if must(t, "inspect by name", err); found.ID != first || time.Since(found.Metadata.LastTagTime) > time.Minute {
		t.Errorf("%s is %s, named %s", a, found.ID, found.Metadata.LastTagTime)
	}
	_, err = on.ImageRemove(t.Context(), first, image.RemoveOptions{})
	want(t, "remove an image of two names by its id", err, errdefs.IsConflict)
	must(t, "take the name", on.ImageTag(t.Context(), second, a))
	on.wantNames(t, first, b)
	on.wantNames(t, second, a)
	_, err = on.ImageRemove(t.Context(), b, image.RemoveOptions{})
	must(t, "remove the last name", err)
	_, err = on.ImageInspect(t.Context(), first)
	want(t, "inspect an image whose last name is gone", err, errdefs.IsNotFound)
	_, err = on.ImageRemove(t.Context(), b, image.RemoveOptions{})
	want(t, "remove a name that is gone", err, errdefs.IsNotFound)
	gone, err := engine.RemoveUnused(on, second)
	if want(t, "remove an image that has a name", err, nil); gone {
		t.Error("an image that has a name was removed")
	}
}

func (b *bench) wantNames(t *testing.T, id string, names ...string) {
	t.Helper()
	found, err := b.ImageInspect(t.Context(), id)
	must(t, "inspect", err)
	if slices.Sort(found.RepoTags); !slices.Equal(found.RepoTags, names) {
		t.Errorf("image %s has the names %q, want %q", id, found.RepoTags, names)
	}
}

func checkImageList(t *testing.T, on *bench) {
	first, second, a := on.load(t), on.load(t), on.tag("a")
	must(t, "name", on.ImageTag(t.Context(), first, a))
	for name, one := range map[string]struct {
		by   filters.Args
		want []string
	}{
		"label":              {on.labelled(), []string{first, second}},
		"label and value":    {filters.NewArgs(filters.Arg("label", on.label+"=2")), []string{second}},
		"another value":      {filters.NewArgs(filters.Arg("label", on.label+"=3")), nil},
		"name":               {filters.NewArgs(filters.Arg("reference", "ndock/contract:"+on.label+"*")), []string{first}},
		"another name":       {filters.NewArgs(filters.Arg("reference", "ndock/contract-"+on.label+":*")), nil},
		"label and no name":  {filters.NewArgs(filters.Arg("label", on.label), filters.Arg("dangling", "true")), []string{second}},
		"label and any name": {filters.NewArgs(filters.Arg("label", on.label), filters.Arg("dangling", "false")), []string{first}},
	} {
		found, err := on.ImageList(t.Context(), image.ListOptions{Filters: one.by})
		if want(t, "list by "+name, err, nil); !slices.Equal(idsOf(found), sorted(one.want)) {
			t.Errorf("list by %s: got %v, want %v", name, idsOf(found), sorted(one.want))
		}
	}
	all, err := on.ImageList(t.Context(), image.ListOptions{})
	if want(t, "list", err, nil); !slices.Contains(idsOf(all), first) || !slices.Contains(idsOf(all), second) {
		t.Errorf("the list lacks some: %v", idsOf(all))
	}
}

func idsOf(images []image.Summary) (ids []string) {
	for _, one := range images {
		ids = append(ids, one.ID)
	}
	return sorted(ids)
}

func sorted(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return ids
}

// checkUsedImages: an image that a container is made of stays, and may lose its last name only by force.
func checkUsedImages(t *testing.T, on *bench) {
	id, a := on.load(t), on.tag("a")
	must(t, "name", on.ImageTag(t.Context(), id, a))
	made := on.create(t, "user", id)
	_, err := on.ImageRemove(t.Context(), a, image.RemoveOptions{})
	want(t, "remove the name of an image that is used", err, errdefs.IsConflict)
	on.start(t, made)
	_, err = on.ImageRemove(t.Context(), a, image.RemoveOptions{Force: true})
	want(t, "remove the name of an image whose container runs, by force", err, nil)
	on.wantNames(t, id)
	gone, err := engine.RemoveUnused(on, id)
	if want(t, "remove an image that is used", err, nil); gone {
		t.Error("an image that is used was removed")
	}
	_, err = on.ImageRemove(t.Context(), id, image.RemoveOptions{Force: true})
	want(t, "remove an image whose container runs, by force", err, errdefs.IsConflict)
	must(t, "remove the container", on.ContainerRemove(t.Context(), made, container.RemoveOptions{Force: true}))
	gone, err = engine.RemoveUnused(on, id)
	if want(t, "remove the image", err, nil); !gone {
		t.Error("an image that is not used was not removed")
	}
}

// checkForgottenImages: a container keeps its files when its image is removed by force.
func checkForgottenImages(t *testing.T, on *bench) {
	id, a := on.load(t), on.tag("a")
	must(t, "name", on.ImageTag(t.Context(), id, a))
	made := on.create(t, "user", id)
	_, err := on.ImageRemove(t.Context(), a, image.RemoveOptions{Force: true})
	must(t, "remove the name of an image that is used, by force", err)
	_, err = on.ImageInspect(t.Context(), a)
	want(t, "inspect by the name that is gone", err, errdefs.IsNotFound)
	on.start(t, made)
	found, err := on.ContainerInspect(t.Context(), made)
	if must(t, "inspect the container", err); !found.State.Running || found.Image != id {
		t.Errorf("it is %+v, of image %s", found.State, found.Image)
	}
}

// commit makes an image of a container, and returns its id.
func (b *bench) commit(t *testing.T, id, label string) string {
	t.Helper()
	made, err := b.ContainerCommit(t.Context(), id, container.CommitOptions{Pause: true, Changes: []string{"LABEL committed=" + label}})
	must(t, "commit", err)
	b.removeLater(t, made.ID)
	return made.ID
}

// usesContainerd tells whether the engine keeps its images in containerd.
func (b *bench) usesContainerd(t *testing.T) bool {
	t.Helper()
	info, err := b.Info(t.Context())
	must(t, "info", err)
	return slices.ContainsFunc(info.DriverStatus, func(status [2]string) bool { return status[1] == "io.containerd.snapshotter.v1" })
}

func checkCommit(t *testing.T, on *bench) {
	base := on.load(t)
	id := on.commit(t, on.create(t, "from", base), on.label)
	found, err := on.ImageInspect(t.Context(), id)
	if must(t, "inspect", err); found.Config.Labels["committed"] != on.label || len(found.RepoTags) > 0 {
		t.Errorf("committed as %+v", found)
	}
	byLabel := filters.NewArgs(filters.Arg("label", "committed="+on.label))
	all, err := on.ImageList(t.Context(), image.ListOptions{All: true, Filters: byLabel})
	if want(t, "list", err, nil); !slices.Equal(idsOf(all), []string{id}) {
		t.Errorf("got %v, want %s", idsOf(all), id)
	}
	_, err = on.ImageRemove(t.Context(), base, image.RemoveOptions{})
	want(t, "remove an image that another is made of", err, errdefs.IsConflict)
	gone, err := engine.RemoveUnused(on, id)
	if want(t, "remove", err, nil); !gone {
		t.Error("it was not removed")
	}
	_, err = on.ContainerCommit(t.Context(), on.named("nobody"), container.CommitOptions{})
	want(t, "commit a missing container", err, errdefs.IsNotFound)
}

// checkParents: with an image go those that it was made of, as far as no other is made of them. An engine with containerd's
// store removes them all the same: there each image holds its own layers.
func checkParents(t *testing.T, on *bench) {
	base := on.load(t)
	user := on.create(t, "a", base)
	parent := on.commit(t, user, on.label+"-parent")
	other := on.create(t, "b", parent)
	left, right := on.commit(t, other, on.label+"-left"), on.commit(t, other, on.label+"-right")
	must(t, "remove", on.ContainerRemove(t.Context(), user, container.RemoveOptions{}))
	must(t, "remove", on.ContainerRemove(t.Context(), other, container.RemoveOptions{}))
	stay := []string{right, parent, base}
	if on.usesContainerd(t) {
		stay = stay[:1]
	}
	for _, one := range []struct {
		id   string
		stay []string
	}{{left, stay}, {right, nil}} {
		_, err := on.ImageRemove(t.Context(), one.id, image.RemoveOptions{PruneChildren: true})
		want(t, "remove", err, nil)
		for _, id := range []string{left, right, parent, base} {
			_, err := on.ImageInspect(t.Context(), id)
			if stays := err == nil; stays != slices.Contains(one.stay, id) {
				t.Errorf("after %s was removed, %s is there: %t", one.id, id, stays)
			}
		}
	}
}

func checkImport(t *testing.T, on *bench) {
	name := on.tag("imported")
	on.removeLater(t, name)
	changes := []string{`ENTRYPOINT ["/busybox"]`, `LABEL ` + on.label + `="imported"`}
	progress, err := on.ImageImport(t.Context(), image.ImportSource{Source: bytes.NewReader(enginetest.Tar("busybox", string(on.program))), SourceName: "-"}, name, image.ImportOptions{Changes: changes})
	must(t, "import", err)
	defer progress.Close()
	if text, err := io.ReadAll(progress); err != nil || !strings.Contains(string(text), "sha256:") {
		t.Errorf("the engine says %s, %v", text, err)
	}
	found, err := on.ImageList(t.Context(), image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", on.label+"=imported"))})
	if must(t, "list", err); len(found) != 1 || !slices.Equal(found[0].RepoTags, []string{name}) || found[0].Labels[on.label] != "imported" {
		t.Fatalf("imported as %+v", found)
	}
	_, err = on.ImageRemove(t.Context(), found[0].ID, image.RemoveOptions{})
	want(t, "remove an image of one name by its id", err, nil)
	_, err = on.ImageInspect(t.Context(), name)
	want(t, "inspect", err, errdefs.IsNotFound)
}
