package instance_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
	"ndock/docker/engine/enginetest"
)

// withBackup is an engine on which the server has only a backup.
func withBackup(t *testing.T) *enginetest.Engine {
	t.Helper()
	engine := withImage(t)
	engine.PutServer(container.StateRunning)
	status, body := ask(t, engine, "POST", agenttest.ServerPath+"/aside?grace=9", "")
	agenttest.WantOK(t, status, body)
	if !slices.Contains(engine.Called(), "ContainerStop(9)") {
		t.Errorf("it was not given its time to end: %q", engine.Called())
	}
	engine.Calls = nil
	return engine
}

func wantContainers(t *testing.T, engine *enginetest.Engine, want ...string) {
	t.Helper()
	got := []string{}
	for name := range engine.Containers {
		got = append(got, strings.Replace(name, enginetest.ServerID, "ID", 1))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got containers %q, want %q", got, want)
	}
}

func create(t *testing.T, engine *enginetest.Engine, source agent.Source) (int, string) {
	t.Helper()
	wanted := small()
	wanted.Source = source
	return ask(t, engine, "PUT", agenttest.ServerPath, marshal(t, wanted))
}

func TestBackup(t *testing.T) {
	engine := withBackup(t)
	wantContainers(t, engine, "ndock-ID-aside")
	if status, body := ask(t, engine, "GET", agenttest.ServerPath, ""); status != 404 {
		t.Errorf("a backup counts as the server: %d %s", status, body)
	}
	status, body := ask(t, engine, "GET", "/v1/instances", "")
	if agenttest.WantOK(t, status, body); strings.TrimSpace(body) != "[]" {
		t.Errorf("got %s", body)
	}
	status, body = ask(t, engine, "GET", "/v1/servers", "") // by which Nova finds what is left of a deleted one
	if agenttest.WantOK(t, status, body); strings.TrimSpace(body) != `["`+enginetest.ServerID+`"]` {
		t.Errorf("got %s", body)
	}
	status, body = ask(t, engine, "POST", agenttest.ServerPath+"/aside?grace=0", "")
	agenttest.WantOK(t, status, body) // done already
	status, body = ask(t, enginetest.New(), "POST", agenttest.ServerPath+"/aside?grace=0", "")
	agenttest.WantFault(t, status, body, 404, agent.NoSuchInstance)
}

func TestNoSecondBackup(t *testing.T) {
	engine := withBackup(t)
	status, body := create(t, engine, agent.FromBackup)
	agenttest.WantOK(t, status, body)
	status, body = ask(t, engine, "POST", agenttest.ServerPath+"/aside?grace=0", "")
	agenttest.WantFault(t, status, body, 400, agent.BadRequest)
	wantContainers(t, engine, "ndock-ID", "ndock-ID-aside")
}

func TestResize(t *testing.T) {
	for verb, want := range map[string][]string{"confirm": {"ndock-ID"}, "revert": {"ndock-ID"}, "delete": {}} {
		t.Run(verb, func(t *testing.T) {
			engine := withBackup(t)
			status, body := create(t, engine, agent.FromBackup)
			agenttest.WantOK(t, status, body)
			method, path := "DELETE", agenttest.ServerPath+"/aside"
			switch verb {
			case "revert":
				method, path = "POST", agenttest.ServerPath+"/restore"
			case "delete":
				path = agenttest.ServerPath
			}
			status, body = ask(t, engine, method, path, "")
			agenttest.WantOK(t, status, body)
			wantContainers(t, engine, want...)
			if committed := engine.Images[enginetest.Loaded].ID != ""; committed != (verb == "confirm") {
				t.Errorf("is the image there that was committed? %t", committed)
			}
		})
	}
}

// TestRevertOnTheSameHost: Nova destroys what was made of the server, and wants the old one back after that.
func TestRevertOnTheSameHost(t *testing.T) {
	engine := withBackup(t)
	status, body := create(t, engine, agent.FromBackup)
	agenttest.WantOK(t, status, body)
	status, body = ask(t, engine, "DELETE", agenttest.ServerPath+"?keep=aside", "")
	agenttest.WantOK(t, status, body)
	wantContainers(t, engine, "ndock-ID-aside")
	status, body = ask(t, engine, "POST", agenttest.ServerPath+"/restore", "")
	agenttest.WantOK(t, status, body)
	wantContainers(t, engine, "ndock-ID")
}

// TestRevertOnAnotherHost: there is no backup there, and all of it goes.
func TestRevertOnAnotherHost(t *testing.T) {
	engine := withImage(t, firstPort)
	engine.PutServer(container.StateRunning)
	status, body := ask(t, engine, "DELETE", agenttest.ServerPath+"?keep=aside", "")
	agenttest.WantOK(t, status, body)
	wantContainers(t, engine)
	if ports := portsIn(t, engine); len(ports) > 0 {
		t.Errorf("ports %v stay behind", ports)
	}
}

func TestRebuildKeepsThePorts(t *testing.T) {
	engine := withImage(t, firstPort)
	engine.PutServer(container.StateRunning)
	status, body := ask(t, engine, "DELETE", agenttest.ServerPath+"?keep=ports", "")
	agenttest.WantOK(t, status, body)
	wantContainers(t, engine)
	if ports := portsIn(t, engine); len(ports) != 1 {
		t.Errorf("got ports %v", ports)
	}
}

// TestWhatWasNeverReplacedComesBack: the agent was killed between making a backup and the next container.
func TestWhatWasNeverReplacedComesBack(t *testing.T) {
	for _, verb := range []string{"/start", "/restart?grace=0"} {
		engine := withBackup(t)
		status, body := ask(t, engine, "POST", agenttest.ServerPath+verb, "")
		agenttest.WantOK(t, status, body)
		wantContainers(t, engine, "ndock-ID")
	}
}

func TestAFailedSuccessorLeavesNothing(t *testing.T) {
	engine := withBackup(t)
	delete(engine.Images, naming.ImageTag(enginetest.ImageID))
	engine.Fail["ContainerCreate"] = enginetest.ErrAway
	status, body := create(t, engine, agent.FromBackup)
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	wantContainers(t, engine, "ndock-ID-aside")
	if len(engine.Images) > 0 {
		t.Errorf("images %v stay behind", engine.Images)
	}
}

func TestRescue(t *testing.T) {
	engine := withBackup(t)
	aside := engine.Containers[naming.Backup(enginetest.ServerID)]
	aside.GraphDriver.Name = "overlay2"
	aside.GraphDriver.Data = map[string]string{"LowerDir": "/l2:/l1", "UpperDir": "/u", "WorkDir": "/w"}
	status, body := create(t, engine, agent.Rescue)
	agenttest.WantOK(t, status, body)
	made := engine.Volumes[naming.RescueVolume(enginetest.ServerID)]
	if made.DriverOpts["type"] != "overlay" || made.DriverOpts["o"] != "lowerdir=/l2:/l1,upperdir=/u,workdir=/w,nodev" {
		t.Errorf("got volume %+v", made)
	}
	mounts := engine.Containers[naming.Container(enginetest.ServerID)].HostConfig.Mounts
	if last := mounts[len(mounts)-1]; last.Source != naming.RescueVolume(enginetest.ServerID) || last.Target != instance.RescuePath {
		t.Errorf("got mounts %+v", mounts)
	}
	status, body = ask(t, engine, "POST", agenttest.ServerPath+"/restore", "")
	agenttest.WantOK(t, status, body)
	wantContainers(t, engine, "ndock-ID")
	if len(engine.Volumes) > 0 {
		t.Errorf("volumes %v stay behind", engine.Volumes)
	}
}

// A rescue that fails leaves no volume: the next one would have the files that the server had then.
func TestARescueThatFails(t *testing.T) {
	engine := withBackup(t)
	aside := engine.Containers[naming.Backup(enginetest.ServerID)]
	aside.GraphDriver.Name = "overlay2"
	aside.GraphDriver.Data = map[string]string{"LowerDir": "/l1", "UpperDir": "/u1", "WorkDir": "/w1"}
	engine.FailOnce["ContainerCreate"] = enginetest.ErrAway
	status, body := create(t, engine, agent.Rescue)
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	aside.GraphDriver.Data = map[string]string{"LowerDir": "/l2", "UpperDir": "/u2", "WorkDir": "/w2"}
	engine.FailOnce["ContainerCreate"] = enginetest.ErrAway
	status, body = create(t, engine, agent.Rescue)
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	if got := engine.Volumes[naming.RescueVolume(enginetest.ServerID)].DriverOpts["o"]; !strings.HasPrefix(got, "lowerdir=/l2,") {
		t.Errorf("the second has the files of %q", got)
	}
	status, body = ask(t, engine, "POST", agenttest.ServerPath+"/restore", "")
	agenttest.WantOK(t, status, body)
	if len(engine.Volumes) > 0 {
		t.Errorf("volumes %v stay behind", engine.Volumes)
	}
}

// TestRescueWithSELinux: a server's files are its own categories', in which the container of the rescue runs, too.
func TestRescueWithSELinux(t *testing.T) {
	engine := withBackup(t)
	aside := engine.Containers[naming.Backup(enginetest.ServerID)]
	aside.GraphDriver.Name = "overlay2"
	aside.GraphDriver.Data = map[string]string{"LowerDir": "/l2:/l1", "UpperDir": "/u", "WorkDir": "/w"}
	aside.MountLabel = "system_u:object_r:container_file_t:s0:c1,c2"
	status, body := create(t, engine, agent.Rescue)
	agenttest.WantOK(t, status, body)
	options := engine.Volumes[naming.RescueVolume(enginetest.ServerID)].DriverOpts["o"]
	if !strings.HasSuffix(options, `,nodev,context="system_u:object_r:container_file_t:s0:c1,c2"`) {
		t.Errorf("its files are mounted with %s", options)
	}
	if got := engine.Containers[naming.Container(enginetest.ServerID)].HostConfig.SecurityOpt; !slices.Contains(got, "label=level:s0:c1,c2") {
		t.Errorf("the container has %q", got)
	}
}

// TestABackupKeepsItsConfigDrive: what is made in its place has another, also the second time.
func TestABackupKeepsItsConfigDrive(t *testing.T) {
	engine := withImage(t)
	drive := func() string {
		for _, mount := range engine.Containers[naming.Container(enginetest.ServerID)].HostConfig.Mounts {
			if mount.Target == instance.ConfigDrivePaths[0] {
				text, err := os.ReadFile(filepath.Join(mount.Source, "name"))
				if err != nil {
					t.Error(err)
				}
				return string(text)
			}
		}
		return ""
	}
	given := func(method, path, body string) {
		t.Helper()
		status, answer := ask(t, engine, method, agenttest.ServerPath+path, body)
		agenttest.WantOK(t, status, answer)
	}
	of := func(name string, source agent.Source) string {
		wanted := small()
		wanted.Source, wanted.ConfigDrive = source, map[string][]byte{"name": []byte(name)}
		return marshal(t, wanted)
	}
	given("PUT", "", of("first", agent.FromImage))
	for _, then := range []string{"second", "third"} {
		before := drive()
		given("POST", "/aside?grace=0", "")
		given("PUT", "", of("reverted", agent.FromBackup))
		given("POST", "/restore", "")
		if got := drive(); got != before {
			t.Errorf("reverted, it has the drive of %q, want that of %q", got, before)
		}
		given("POST", "/aside?grace=0", "")
		given("PUT", "", of(then, agent.FromBackup))
		given("DELETE", "/aside", "")
		if got := drive(); got != then {
			t.Errorf("confirmed, it has the drive of %q, want that of %q", got, then)
		}
	}
}

func TestRescueNeedsOverlay(t *testing.T) {
	for name, data := range map[string]map[string]string{
		"btrfs":    nil,
		"overlay2": {"LowerDir": strings.Repeat("/layer:", 1000), "UpperDir": "/u", "WorkDir": "/w"},
	} {
		engine := withBackup(t)
		aside := engine.Containers[naming.Backup(enginetest.ServerID)]
		aside.GraphDriver.Name, aside.GraphDriver.Data = name, data
		status, body := create(t, engine, agent.Rescue)
		agenttest.WantFault(t, status, body, 400, agent.BadRequest)
		wantContainers(t, engine, "ndock-ID-aside")
	}
}

// TestSnapshotOfABackup: by it a server's files leave for another host.
func TestSnapshotOfABackup(t *testing.T) {
	engine := withBackup(t)
	engine.Archive = strings.NewReader("files")
	status, body := ask(t, engine, "POST", agenttest.ServerPath+"/snapshot", "")
	if agenttest.WantOK(t, status, body); body != "files" {
		t.Errorf("got %q", body)
	}
}

// TestNoImageOfTooManyLayers: Docker stores no image on top of one that has as many layers as it stores. That is said before
// the container is stopped, paused or read; and only where an image has to be made.
func TestNoImageOfTooManyLayers(t *testing.T) {
	with := func(t *testing.T, layers int) *enginetest.Engine {
		engine := withImage(t)
		engine.PutServer(container.StateRunning)
		found := engine.Containers[naming.Container(enginetest.ServerID)]
		found.Image = "sha256:of-the-server"
		engine.Containers[naming.Container(enginetest.ServerID)] = found
		engine.Images[found.Image] = image.InspectResponse{ID: found.Image, RootFS: image.RootFS{Layers: make([]string, layers)}}
		engine.Archive = strings.NewReader("the archive")
		engine.Calls = nil
		return engine
	}
	for name, c := range map[string]struct{ verb, path string }{
		"snapshot": {"POST", snapshotPath},
		"resize":   {"POST", agenttest.ServerPath + "/aside?grace=0&commit=true"},
		"shelve":   {"POST", agenttest.ServerPath + "/stop?grace=0&commit=true"},
	} {
		engine := with(t, 125)
		status, body := ask(t, engine, c.verb, c.path, "")
		agenttest.WantFault(t, status, body, 422, agent.UnusableImage)
		if !strings.Contains(body, "the server's image has 125 layers, and Docker Engine stores at most 125") {
			t.Errorf("%s: %s", name, body)
		}
		for _, call := range engine.Called() {
			if strings.HasPrefix(call, "ContainerCommit") || strings.HasPrefix(call, "ContainerStop") || strings.HasPrefix(call, "ContainerRename") {
				t.Errorf("%s: the container was touched: %q", name, engine.Called())
			}
		}
		status, body = ask(t, with(t, 124), c.verb, c.path, "")
		agenttest.WantOK(t, status, body)
	}
	for _, path := range []string{"/aside?grace=0", "/stop?grace=0"} { // as for a rescue
		status, body := ask(t, with(t, 125), "POST", agenttest.ServerPath+path, "")
		agenttest.WantOK(t, status, body)
	}
}
