package enginetest_test

import (
	"bufio"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/versions"

	"ndock/docker/engine/enginetest"
)

func checkDaemon(t *testing.T, on *bench) {
	version, err := on.ServerVersion(t.Context())
	if want(t, "ask for its version", err, nil); version.Version == "" || versions.LessThan(version.APIVersion, on.ClientVersion()) {
		t.Errorf("it is %+v, and spoken to as %s", version, on.ClientVersion())
	}
	info, err := on.Info(t.Context())
	if want(t, "ask what it is", err, nil); info.Driver == "" || info.DockerRootDir == "" || info.NCPU == 0 || info.Architecture == "" {
		t.Errorf("it is %+v", info)
	}
}

// killAtOnce stops a process that hears no signal.
var killAtOnce = container.StopOptions{Timeout: new(int)}

func (b *bench) start(t *testing.T, id string) {
	t.Helper()
	must(t, "start", b.ContainerStart(t.Context(), id, container.StartOptions{}))
}

func (b *bench) wantState(t *testing.T, id string, state container.ContainerState) {
	t.Helper()
	found, err := b.ContainerInspect(t.Context(), id)
	if must(t, "inspect", err); found.State.Status != state || found.State.Running != (state == container.StateRunning || state == container.StatePaused) {
		t.Errorf("it is %+v, want it %s", found.State, state)
	}
}

func checkCreate(t *testing.T, on *bench) {
	image := on.load(t)
	_, err := on.tryCreate(t, "of-nothing", noImage, &container.HostConfig{})
	want(t, "create of a missing image", err, errdefs.IsNotFound)
	id := on.create(t, "a", image)
	_, err = on.tryCreate(t, "a", image, &container.HostConfig{})
	want(t, "create under a name that is taken", err, errdefs.IsConflict)
	byName, err := on.ContainerInspect(t.Context(), on.named("a"))
	if must(t, "inspect by name", err); byName.ID != id || byName.Name != "/"+on.named("a") || byName.Image != image || byName.State.Status != container.StateCreated {
		t.Errorf("made as %+v", byName.ContainerJSONBase)
	}
	if labels := byName.Config.Labels; labels["own"] != "yes" || labels[on.label] != "container" {
		t.Errorf("its labels are %v", labels)
	}
	nameless, err := on.ContainerCreate(t.Context(), &container.Config{Image: image, Labels: map[string]string{"own": "yes"}}, &container.HostConfig{NetworkMode: "none"}, nil, nil, "")
	must(t, "create without a name", err)
	found, err := on.ContainerInspect(t.Context(), nameless.ID)
	if must(t, "inspect", err); len(found.Name) < 2 || found.Config.Labels[on.label] != "1" { // the image's
		t.Errorf("made as %s, with the labels %v", found.Name, found.Config.Labels)
	}
	must(t, "remove", on.ContainerRemove(t.Context(), nameless.ID, container.RemoveOptions{}))
}

func checkContainerList(t *testing.T, on *bench) {
	image := on.load(t)
	idle, runs := on.create(t, "idle", image), on.create(t, "runs", image)
	on.start(t, runs)
	for name, one := range map[string]struct {
		options container.ListOptions
		want    []string
	}{
		"running":       {container.ListOptions{Filters: on.labelled()}, []string{runs}},
		"all":           {container.ListOptions{All: true, Filters: on.labelled()}, []string{idle, runs}},
		"with sizes":    {container.ListOptions{All: true, Size: true, Filters: on.labelled()}, []string{idle, runs}},
		"another value": {container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", on.label+"=other"))}, nil},
	} {
		found, err := on.ContainerList(t.Context(), one.options)
		must(t, "list", err)
		var ids []string
		for _, c := range found {
			ids = append(ids, c.ID)
			if c.ImageID != image || c.Labels["own"] != "yes" || len(c.Names) != 1 || !strings.HasPrefix(c.Names[0], "/"+on.label) || c.State == "" {
				t.Errorf("listed as %+v", c)
			}
		}
		if !slices.Equal(sorted(ids), sorted(one.want)) {
			t.Errorf("%s: got %v, want %v", name, ids, one.want)
		}
	}
}

func checkStartStop(t *testing.T, on *bench) {
	id := on.create(t, "a", on.load(t))
	for range 2 {
		want(t, "start", on.ContainerStart(t.Context(), id, container.StartOptions{}), nil)
		want(t, "start what runs", on.ContainerStart(t.Context(), id, container.StartOptions{}), nil)
		on.wantState(t, id, container.StateRunning)
		stats, err := on.ContainerStatsOneShot(t.Context(), id)
		must(t, "measure", err)
		var object map[string]any
		want(t, "read what was measured", json.NewDecoder(stats.Body).Decode(&object), nil)
		stats.Body.Close()
		want(t, "stop", on.ContainerStop(t.Context(), id, killAtOnce), nil)
		want(t, "stop what is stopped", on.ContainerStop(t.Context(), id, killAtOnce), nil)
		on.wantState(t, id, container.StateExited)
	}
}

func checkPause(t *testing.T, on *bench) {
	id := on.create(t, "a", on.load(t))
	want(t, "pause what does not run", on.ContainerPause(t.Context(), id), errdefs.IsConflict)
	on.start(t, id)
	want(t, "unpause what is not paused", on.ContainerUnpause(t.Context(), id), anyError)
	want(t, "pause", on.ContainerPause(t.Context(), id), nil)
	on.wantState(t, id, container.StatePaused)
	want(t, "pause what is paused", on.ContainerPause(t.Context(), id), errdefs.IsConflict)
	want(t, "start what is paused", on.ContainerStart(t.Context(), id, container.StartOptions{}), errdefs.IsConflict)
	want(t, "unpause", on.ContainerUnpause(t.Context(), id), nil)
	on.wantState(t, id, container.StateRunning)
}

func checkRename(t *testing.T, on *bench) {
	image := on.load(t)
	a := on.create(t, "a", image)
	on.create(t, "b", image)
	want(t, "rename to a name that is taken", on.ContainerRename(t.Context(), a, on.named("b")), errdefs.IsConflict)
	must(t, "rename", on.ContainerRename(t.Context(), a, on.named("c")))
	_, err := on.ContainerInspect(t.Context(), on.named("a"))
	want(t, "inspect by the old name", err, errdefs.IsNotFound)
	found, err := on.ContainerInspect(t.Context(), on.named("c"))
	if must(t, "inspect by the new name", err); found.ID != a || found.Name != "/"+on.named("c") {
		t.Errorf("renamed to %s %s", found.ID, found.Name)
	}
}

func checkRemove(t *testing.T, on *bench) {
	id := on.create(t, "a", on.load(t))
	on.start(t, id)
	want(t, "remove what runs", on.ContainerRemove(t.Context(), id, container.RemoveOptions{}), errdefs.IsConflict)
	want(t, "remove what runs, by force", on.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true}), nil)
	_, err := on.ContainerInspect(t.Context(), id)
	want(t, "inspect what is gone", err, errdefs.IsNotFound)
}

// checkMissing: whatever is asked of a container that is not there, the answer is that it is not.
func checkMissing(t *testing.T, on *bench) {
	ctx, id := t.Context(), on.named("nobody")
	for what, do := range map[string]func() error{
		"start":   func() error { return on.ContainerStart(ctx, id, container.StartOptions{}) },
		"stop":    func() error { return on.ContainerStop(ctx, id, killAtOnce) },
		"pause":   func() error { return on.ContainerPause(ctx, id) },
		"unpause": func() error { return on.ContainerUnpause(ctx, id) },
		"remove":  func() error { return on.ContainerRemove(ctx, id, container.RemoveOptions{Force: true}) },
		"rename":  func() error { return on.ContainerRename(ctx, id, id+"-else") },
		"inspect": func() error { _, err := on.ContainerInspect(ctx, id); return err },
		"log": func() error {
			_, err := on.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, Tail: "all"})
			return err
		},
		"resize":   func() error { return on.ContainerResize(ctx, id, container.ResizeOptions{Width: 80, Height: 25}) },
		"stat":     func() error { _, err := on.ContainerStatPath(ctx, id, "/etc"); return err },
		"copy out": func() error { _, _, err := on.CopyFromContainer(ctx, id, "/etc"); return err },
		"copy in": func() error {
			return on.CopyToContainer(ctx, id, "/", strings.NewReader(string(enginetest.Tar("a", "b"))), container.CopyToContainerOptions{})
		},
	} {
		want(t, what, do(), errdefs.IsNotFound)
	}
	_, err := on.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true})
	want(t, "attach", err, anyError) // Docker's client does not say what kind it is
}

// checkTerminal: who is attached is heard, and hears; and the log has it.
func checkTerminal(t *testing.T, on *bench) {
	id := on.create(t, "a", on.load(t))
	on.start(t, id)
	attached, err := on.ContainerAttach(t.Context(), id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	must(t, "attach", err)
	defer attached.Close()
	want(t, "resize", on.ContainerResize(t.Context(), id, container.ResizeOptions{Width: 80, Height: 25}), nil)
	must(t, "set a deadline", attached.Conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(attached.Conn, "hello\n")
	must(t, "write", err)
	heard, err := bufio.NewReader(attached.Reader).ReadString('\n')
	if want(t, "read", err, nil); strings.TrimRight(heard, "\r\n") != "hello" {
		t.Errorf("heard %q", heard)
	}
	must(t, "stop", on.ContainerStop(t.Context(), id, killAtOnce)) // so that the log is whole
	log, err := on.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "all"})
	must(t, "open the log", err)
	defer log.Close()
	if text, err := io.ReadAll(log); err != nil || !strings.HasPrefix(string(text), "hello") {
		t.Errorf("the log has %q, %v", text, err)
	}
}

// checkEvents: who follows the events of some containers hears of each change of theirs, in its order.
func checkEvents(t *testing.T, on *bench) {
	image := on.load(t)
	by := on.labelled()
	by.Add("type", string(events.ContainerEventType))
	happened, failed := on.Events(t.Context(), events.ListOptions{Filters: by})
	stranger := newBench(on.tested, on.program)
	stranger.start(t, stranger.create(t, "a", stranger.load(t)))
	id := on.create(t, "a", image)
	on.start(t, id)
	must(t, "pause", on.ContainerPause(t.Context(), id))
	must(t, "unpause", on.ContainerUnpause(t.Context(), id))
	must(t, "stop", on.ContainerStop(t.Context(), id, killAtOnce))
	must(t, "remove", on.ContainerRemove(t.Context(), id, container.RemoveOptions{}))
	heard := []events.Action{}
	for !slices.Contains(heard, events.ActionDestroy) {
		message := next(t, happened, failed)
		heard = append(heard, message.Action)
		if of := message.Actor; of.ID != id || of.Attributes["name"] != on.named("a") || of.Attributes[on.label] != "container" {
			t.Errorf("heard of %+v", of)
		}
	}
	heard = slices.DeleteFunc(heard, func(action events.Action) bool { // which ndock passes over
		return action == events.ActionKill || action == events.ActionStop || action == events.ActionAttach
	})
	if wanted := []events.Action{"create", "start", "pause", "unpause", "die", "destroy"}; !slices.Equal(heard, wanted) {
		t.Errorf("heard %v, want %v", heard, wanted)
	}
}

// next is the next event.
func next(t *testing.T, happened <-chan events.Message, failed <-chan error) events.Message {
	t.Helper()
	select {
	case message := <-happened:
		return message
	case err := <-failed:
		t.Fatalf("the events end: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("nothing more is heard")
	}
	panic("unreachable")
}
