package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"ndock/docker/agent"
)

// withAside is an engine on which the server's container is set aside.
func withAside(t *testing.T) *engine {
	t.Helper()
	engine := withImage(t)
	engine.putServer(container.StateRunning)
	status, body := ask(t, engine, "POST", serverPath+"/aside?grace=9", "")
	wantOK(t, status, body)
	if !slices.Contains(engine.called(), "ContainerStop(9)") {
		t.Errorf("it was not given its time to end: %q", engine.called())
	}
	engine.calls = nil
	return engine
}

func wantContainers(t *testing.T, engine *engine, want ...string) {
	t.Helper()
	got := []string{}
	for name := range engine.containers {
		got = append(got, strings.Replace(name, serverID, "ID", 1))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got containers %q, want %q", got, want)
	}
}

func create(t *testing.T, engine *engine, source agent.Source) (int, string) {
	t.Helper()
	wanted := small()
	wanted.Source = source
	return ask(t, engine, "PUT", serverPath, marshal(t, wanted))
}

func TestSetAside(t *testing.T) {
	engine := withAside(t)
	wantContainers(t, engine, "ndock-ID-aside")
	if status, body := ask(t, engine, "GET", serverPath, ""); status != 404 {
		t.Errorf("what is set aside counts as the server: %d %s", status, body)
	}
	status, body := ask(t, engine, "GET", "/v1/instances", "")
	if wantOK(t, status, body); strings.TrimSpace(body) != "[]" {
		t.Errorf("got %s", body)
	}
	status, body = ask(t, engine, "GET", "/v1/servers", "") // by which Nova finds what is left of a deleted one
	if wantOK(t, status, body); strings.TrimSpace(body) != `["`+serverID+`"]` {
		t.Errorf("got %s", body)
	}
	status, body = ask(t, engine, "POST", serverPath+"/aside?grace=0", "")
	wantOK(t, status, body) // done already
	status, body = ask(t, newEngine(), "POST", serverPath+"/aside?grace=0", "")
	wantFault(t, status, body, 404, agent.NoSuchInstance)
}

func TestASecondOneIsNotSetAside(t *testing.T) {
	engine := withAside(t)
	status, body := create(t, engine, agent.FromAside)
	wantOK(t, status, body)
	status, body = ask(t, engine, "POST", serverPath+"/aside?grace=0", "")
	wantFault(t, status, body, 400, agent.BadRequest)
	wantContainers(t, engine, "ndock-ID", "ndock-ID-aside")
}

func TestResize(t *testing.T) {
	for verb, want := range map[string][]string{"confirm": {"ndock-ID"}, "revert": {"ndock-ID"}, "delete": {}} {
		t.Run(verb, func(t *testing.T) {
			engine := withAside(t)
			status, body := create(t, engine, agent.FromAside)
			wantOK(t, status, body)
			method, path := "DELETE", serverPath+"/aside"
			switch verb {
			case "revert":
				method, path = "POST", serverPath+"/restore"
			case "delete":
				path = serverPath
			}
			status, body = ask(t, engine, method, path, "")
			wantOK(t, status, body)
			wantContainers(t, engine, want...)
			if committed := engine.images[loaded].ID != ""; committed != (verb == "confirm") {
				t.Errorf("is the image there that was committed? %t", committed)
			}
		})
	}
}

// TestRevertOnTheSameHost: Nova destroys what was made of the server, and wants the old one back after that.
func TestRevertOnTheSameHost(t *testing.T) {
	engine := withAside(t)
	status, body := create(t, engine, agent.FromAside)
	wantOK(t, status, body)
	status, body = ask(t, engine, "DELETE", serverPath+"?keep=aside", "")
	wantOK(t, status, body)
	wantContainers(t, engine, "ndock-ID-aside")
	status, body = ask(t, engine, "POST", serverPath+"/restore", "")
	wantOK(t, status, body)
	wantContainers(t, engine, "ndock-ID")
}

// TestRevertOnAnotherHost: there nothing is set aside, and all of it goes.
func TestRevertOnAnotherHost(t *testing.T) {
	engine := withImage(t, firstPort)
	engine.putServer(container.StateRunning)
	status, body := ask(t, engine, "DELETE", serverPath+"?keep=aside", "")
	wantOK(t, status, body)
	wantContainers(t, engine)
	if ports := portsIn(t, engine); len(ports) > 0 {
		t.Errorf("ports %v stay behind", ports)
	}
}

func TestRebuildKeepsThePorts(t *testing.T) {
	engine := withImage(t, firstPort)
	engine.putServer(container.StateRunning)
	status, body := ask(t, engine, "DELETE", serverPath+"?keep=ports", "")
	wantOK(t, status, body)
	wantContainers(t, engine)
	if ports := portsIn(t, engine); len(ports) != 1 {
		t.Errorf("got ports %v", ports)
	}
}

// TestWhatWasNeverReplacedComesBack: the agent was killed between setting a container aside and making the next.
func TestWhatWasNeverReplacedComesBack(t *testing.T) {
	for _, verb := range []string{"/start", "/restart?grace=0"} {
		engine := withAside(t)
		status, body := ask(t, engine, "POST", serverPath+verb, "")
		wantOK(t, status, body)
		wantContainers(t, engine, "ndock-ID")
	}
}

func TestAFailedSuccessorLeavesNothing(t *testing.T) {
	engine := withAside(t)
	delete(engine.images, imageTag(imageID))
	engine.fail["ContainerCreate"] = errAway
	status, body := create(t, engine, agent.FromAside)
	wantFault(t, status, body, 500, agent.Failed)
	wantContainers(t, engine, "ndock-ID-aside")
	if len(engine.images) > 0 {
		t.Errorf("images %v stay behind", engine.images)
	}
}

func TestRescue(t *testing.T) {
	engine := withAside(t)
	aside := engine.containers[asideName(serverID)]
	aside.GraphDriver.Name = "overlay2"
	aside.GraphDriver.Data = map[string]string{"LowerDir": "/l2:/l1", "UpperDir": "/u", "WorkDir": "/w"}
	status, body := create(t, engine, agent.Rescue)
	wantOK(t, status, body)
	made := engine.volumes[rescueVolume(serverID)]
	if made.DriverOpts["type"] != "overlay" || made.DriverOpts["o"] != "lowerdir=/l2:/l1,upperdir=/u,workdir=/w,nodev" {
		t.Errorf("got volume %+v", made)
	}
	mounts := engine.containers[namePrefix+serverID].HostConfig.Mounts
	if last := mounts[len(mounts)-1]; last.Source != rescueVolume(serverID) || last.Target != rescuePath {
		t.Errorf("got mounts %+v", mounts)
	}
	status, body = ask(t, engine, "POST", serverPath+"/restore", "")
	wantOK(t, status, body)
	wantContainers(t, engine, "ndock-ID")
	if len(engine.volumes) > 0 {
		t.Errorf("volumes %v stay behind", engine.volumes)
	}
}

func TestRescueNeedsOverlay(t *testing.T) {
	for name, data := range map[string]map[string]string{
		"btrfs":    nil,
		"overlay2": {"LowerDir": strings.Repeat("/layer:", 1000), "UpperDir": "/u", "WorkDir": "/w"},
	} {
		engine := withAside(t)
		aside := engine.containers[asideName(serverID)]
		aside.GraphDriver.Name, aside.GraphDriver.Data = name, data
		status, body := create(t, engine, agent.Rescue)
		wantFault(t, status, body, 400, agent.BadRequest)
		wantContainers(t, engine, "ndock-ID-aside")
	}
}

func TestImagesAge(t *testing.T) {
	engine := newEngine()
	engine.images[imageTag(imageID)] = image.InspectResponse{ID: loaded}
	status, body := ask(t, engine, "DELETE", "/v1/images", `{"unused_seconds":60}`)
	wantOK(t, status, body)
	wantCalls(t, engine, "ImageList", "ContainerList", "ImageInspect "+imageTag(imageID), "ImageRemove "+imageTag(imageID))
}

func TestUsedImagesDoNotAge(t *testing.T) {
	engine := newEngine()
	engine.images[imageTag(imageID)] = image.InspectResponse{ID: loaded}
	engine.putServer(container.StateExited)
	engine.containers[namePrefix+serverID].Image = loaded
	status, body := ask(t, engine, "DELETE", "/v1/images", `{"unused_seconds":0}`)
	wantOK(t, status, body)
	wantCalls(t, engine, "ImageList", "ContainerList")
}

func TestForgetImage(t *testing.T) {
	engine := withImage(t)
	status, body := ask(t, engine, "DELETE", imagePath, "")
	wantOK(t, status, body)
	status, body = ask(t, engine, "DELETE", imagePath, "")
	wantOK(t, status, body)
	if len(engine.images) > 0 {
		t.Errorf("got images %v", engine.images)
	}
}

// TestSnapshotOfWhatIsSetAside: by it a server's files leave for another host.
func TestSnapshotOfWhatIsSetAside(t *testing.T) {
	engine := withAside(t)
	engine.archive = strings.NewReader("files")
	status, body := ask(t, engine, "POST", serverPath+"/snapshot", "")
	if wantOK(t, status, body); body != "files" {
		t.Errorf("got %q", body)
	}
}

// TestNoImageOfTooManyLayers: Docker stores no image on top of one that has as many layers as it stores. That is said before
// the container is stopped, paused or read; and only where an image has to be made.
func TestNoImageOfTooManyLayers(t *testing.T) {
	with := func(t *testing.T, layers int) *engine {
		engine := withImage(t)
		engine.putServer(container.StateRunning)
		found := engine.containers[namePrefix+serverID]
		found.Image = "sha256:of-the-server"
		engine.containers[namePrefix+serverID] = found
		engine.images[found.Image] = image.InspectResponse{ID: found.Image, RootFS: image.RootFS{Layers: make([]string, layers)}}
		engine.archive = strings.NewReader("the archive")
		engine.calls = nil
		return engine
	}
	for name, c := range map[string]struct{ verb, path string }{
		"snapshot": {"POST", snapshotPath},
		"resize":   {"POST", serverPath + "/aside?grace=0&commit=true"},
		"shelve":   {"POST", serverPath + "/stop?grace=0&commit=true"},
	} {
		engine := with(t, 125)
		status, body := ask(t, engine, c.verb, c.path, "")
		wantFault(t, status, body, 422, agent.UnusableImage)
		if !strings.Contains(body, "the server's image has 125 layers, and Docker Engine stores at most 125") {
			t.Errorf("%s: %s", name, body)
		}
		for _, call := range engine.called() {
			if strings.HasPrefix(call, "ContainerCommit") || strings.HasPrefix(call, "ContainerStop") || strings.HasPrefix(call, "ContainerRename") {
				t.Errorf("%s: the container was touched: %q", name, engine.called())
			}
		}
		status, body = ask(t, with(t, 124), c.verb, c.path, "")
		wantOK(t, status, body)
	}
	for _, path := range []string{"/aside?grace=0", "/stop?grace=0"} { // as for a rescue
		status, body := ask(t, with(t, 125), "POST", serverPath+path, "")
		wantOK(t, status, body)
	}
}
