package instance_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
	"ndock/docker/agent/server"
	"ndock/docker/engine/enginetest"
)

// leftImage has an agent make an image of a server's container, and end before it has used it.
func leftImage(t *testing.T, engine *enginetest.Engine) (key string) {
	t.Helper()
	s := newInstances(engine, instance.Options{State: agenttest.StateOf(t, engine)})
	if err := s.Snapshots.Commit(t.Context(), enginetest.ServerID, engine.Containers[naming.Container(enginetest.ServerID)].ID); err != nil {
		t.Fatal(err)
	}
	wantBusy(t, s)
	return engine.Images[enginetest.Loaded].Config.Labels[instance.LabelCommit]
}

// wantBusy checks that an image is no orphan as long as a verb works with it.
func wantBusy(t *testing.T, s *instance.Instances) {
	t.Helper()
	if found, err := s.Orphans.Images(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("it is an orphan while a verb works with it: %v, %v", found, err)
	}
}

func records(t *testing.T, engine *enginetest.Engine) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(filepath.Dir(agenttest.StateOf(t, engine)), "commits", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestTheImageOfASnapshotThatBrokeOff is found by what was recorded before Docker made it.
func TestTheImageOfASnapshotThatBrokeOff(t *testing.T) {
	engine := enginetest.New()
	engine.SystemInfo.ID = "AAAA"
	engine.PutServer(container.StateRunning)
	leftImage(t, engine)
	want := `{"kind":"image","name":"` + enginetest.Loaded + `","server":"` + enginetest.ServerID + `"`
	wantOrphans(t, engine, "GET", want)
	wantOrphans(t, engine, "DELETE", want)
	wantOrphans(t, engine, "DELETE")
	if _, there := engine.Images[enginetest.Loaded]; there || len(records(t, engine)) > 0 {
		t.Errorf("left behind: %v, %v", engine.Images, records(t, engine))
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(engine.State), "commits")); err == nil {
		t.Error("the directory stays behind")
	}
}

// TestImagesThatAreNoOrphans: whoever else has one, or made it, keeps it.
func TestImagesThatAreNoOrphans(t *testing.T) {
	for name, change := range map[string]func(e *enginetest.Engine, key string){
		"a container is made of it": func(e *enginetest.Engine, _ string) {
			made := e.Containers[naming.Container(enginetest.ServerID)]
			made.Image = enginetest.Loaded
			e.Containers[naming.Container(enginetest.ServerID)] = made
		},
		"it has a name": func(e *enginetest.Engine, _ string) {
			found := e.Images[enginetest.Loaded]
			found.RepoTags = []string{"mine:1"}
			e.Images[enginetest.Loaded] = found
		},
		"it brings another's label": func(e *enginetest.Engine, key string) {
			e.Images[enginetest.Loaded] = image.InspectResponse{ID: enginetest.Loaded, Config: enginetest.Labelled([]string{"LABEL " + instance.LabelCommit + "=X" + key})}
		},
		"it has no label": func(e *enginetest.Engine, _ string) {
			e.Images[enginetest.Loaded] = image.InspectResponse{ID: enginetest.Loaded}
		},
		"another engine made it": func(e *enginetest.Engine, _ string) { e.SystemInfo.ID = "BBBB" },
	} {
		t.Run(name, func(t *testing.T) {
			engine := enginetest.New()
			engine.SystemInfo.ID = "AAAA"
			engine.PutServer(container.StateRunning)
			change(engine, leftImage(t, engine))
			wantOrphans(t, engine, "GET")
			wantOrphans(t, engine, "DELETE")
			if _, there := engine.Images[enginetest.Loaded]; !there || len(records(t, engine)) != 1 {
				t.Errorf("images %v, and recorded %v", engine.Images, records(t, engine))
			}
		})
	}
}

// TestACommitWithoutAnImage is forgotten when Docker cannot be at it any more.
func TestACommitWithoutAnImage(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	key := leftImage(t, engine)
	delete(engine.Images, enginetest.Loaded)
	wantOrphans(t, engine, "DELETE")
	if len(records(t, engine)) != 1 {
		t.Fatalf("recorded is %v", records(t, engine))
	}
	then := time.Now().Add(-instance.AbandonedAfter - time.Minute)
	if err := os.Chtimes(records(t, engine)[0], then, then); err != nil || filepath.Base(records(t, engine)[0]) != key {
		t.Fatal(err, records(t, engine))
	}
	wantOrphans(t, engine, "DELETE")
	if left := records(t, engine); len(left) > 0 {
		t.Errorf("recorded is %v", left)
	}
}

// TestRecordsOfImages: nothing after a snapshot; after a resize it stays as long as the image does.
func TestRecordsOfImages(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	engine.Archive = strings.NewReader("the archive")
	status, body := ask(t, engine, "POST", snapshotPath, "")
	if agenttest.WantOK(t, status, body); len(records(t, engine)) > 0 {
		t.Errorf("after a snapshot: %v", records(t, engine))
	}
	engine = withBackup(t)
	status, body = create(t, engine, agent.FromBackup)
	if agenttest.WantOK(t, status, body); len(records(t, engine)) != 1 {
		t.Errorf("after a resize: %v", records(t, engine))
	}
	wantOrphans(t, engine, "DELETE")
	engine.Fail["ImageRemove"] = enginetest.ErrAway // the agent ends between the container's removal and its image's
	status, body = ask(t, engine, "DELETE", agenttest.ServerPath, "[]")
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	delete(engine.Fail, "ImageRemove")
	wantOrphans(t, engine, "DELETE", `"kind":"image"`)
}

// older makes the records of images old.
func older(t *testing.T, engine *enginetest.Engine) {
	t.Helper()
	then := time.Now().Add(-instance.AbandonedAfter - time.Minute)
	for _, file := range records(t, engine) {
		if err := os.Chtimes(file, then, then); err != nil {
			t.Fatal(err)
		}
	}
}

// resized is an engine with a server that was resized on this host, so often, and each time confirmed.
func resized(t *testing.T, times int) *enginetest.Engine {
	t.Helper()
	engine := withImage(t)
	engine.SystemInfo.ID = "AAAA"
	engine.PutServer(container.StateRunning)
	for range times {
		for _, step := range []struct{ method, path, body string }{
			{"POST", agenttest.ServerPath + "/aside?grace=0", ""}, {"PUT", agenttest.ServerPath, marshal(t, agent.Spec{MemoryMB: 512, Source: agent.FromBackup})}, {"DELETE", agenttest.ServerPath + "/aside", "[]"},
		} {
			status, body := ask(t, engine, step.method, step.path, step.body)
			agenttest.WantOK(t, status, body)
		}
	}
	return engine
}

// unnamed are the images without a name.
func unnamed(engine *enginetest.Engine) (ids []string) {
	for name, found := range engine.Images {
		if name == found.ID && len(found.RepoTags) == 0 {
			ids = append(ids, name)
		}
	}
	return ids
}

// TestTheImagesOfSeveralResizes are one another's parents: all stay while the last is used, and then all go.
func TestTheImagesOfSeveralResizes(t *testing.T) {
	engine := resized(t, 3)
	older(t, engine)
	wantOrphans(t, engine, "GET")
	wantOrphans(t, engine, "DELETE")
	if len(unnamed(engine)) != 3 || len(records(t, engine)) != 3 {
		t.Fatalf("images %v, and recorded %v", unnamed(engine), records(t, engine))
	}
	status, body := ask(t, engine, "DELETE", agenttest.ServerPath, "[]")
	if agenttest.WantOK(t, status, body); len(unnamed(engine)) > 0 || len(records(t, engine)) != 2 {
		t.Errorf("left behind: %v, and recorded %v", unnamed(engine), records(t, engine))
	}
	wantOrphans(t, engine, "DELETE")
	if left := records(t, engine); len(left) > 0 {
		t.Errorf("recorded is %v", left)
	}
}

// TestAResizeWhoseImageCannotBeRead leaves none behind, whether Docker answers by then or only later.
func TestAResizeWhoseImageCannotBeRead(t *testing.T) {
	for name, fails := range map[string]func(e *enginetest.Engine) map[string]error{
		"once":           func(e *enginetest.Engine) map[string]error { return e.FailOnce },
		"for some while": func(e *enginetest.Engine) map[string]error { return e.Fail },
	} {
		t.Run(name, func(t *testing.T) {
			engine := withBackup(t)
			engine.SystemInfo.ID = "AAAA"
			fails(engine)["ImageInspect"] = enginetest.ErrAway
			s := newServer(t, engine, server.Options{Version: "1.0", State: engine.State})
			status, body := askServer(t, s, "PUT", agenttest.ServerPath, marshal(t, agent.Spec{MemoryMB: 512, Source: agent.FromBackup}))
			agenttest.WantFault(t, status, body, 500, agent.Failed)
			delete(engine.Fail, "ImageInspect")
			status, body = askServer(t, s, "DELETE", "/v1/orphans", "") // of the same agent
			agenttest.WantOK(t, status, body)
			if len(unnamed(engine)) > 0 || len(records(t, engine)) > 0 {
				t.Errorf("left behind: %v, and recorded %v", unnamed(engine), records(t, engine))
			}
		})
	}
}

// TestTheParentOfAnImageThatIsKept goes when the other does: while someone has made another image of it, it stays.
func TestTheParentOfAnImageThatIsKept(t *testing.T) {
	engine := resized(t, 2)
	last := engine.Containers[naming.Container(enginetest.ServerID)].Image
	parent := engine.Parents[last]
	engine.Images["mine"] = image.InspectResponse{ID: "mine", RepoTags: []string{"mine:1"}, Config: engine.Images[parent].Config}
	engine.Parents["mine"] = parent
	status, body := ask(t, engine, "DELETE", agenttest.ServerPath, "[]")
	if agenttest.WantOK(t, status, body); engine.Images[last].ID != "" || len(records(t, engine)) != 1 {
		t.Errorf("the last image: %+v, and recorded is %v", engine.Images[last], records(t, engine))
	}
	older(t, engine)
	wantOrphans(t, engine, "DELETE")
	if len(unnamed(engine)) != 1 || len(records(t, engine)) != 1 {
		t.Errorf("images %v, and recorded is %v", unnamed(engine), records(t, engine))
	}
	delete(engine.Images, "mine")
	wantOrphans(t, engine, "DELETE", `"kind":"image"`)
	if len(unnamed(engine)) > 0 || len(records(t, engine)) > 0 {
		t.Errorf("images %v, and recorded is %v", unnamed(engine), records(t, engine))
	}
}

// TestAnImageNamesAnotherServersKey: what an image says about itself has no file removed.
func TestAnImageNamesAnotherServersKey(t *testing.T) {
	for name, path := range map[string]string{"the key": "", "a path": "../commits/", "a longer path": "../../*/commits/"} {
		t.Run(name, func(t *testing.T) {
			engine := enginetest.New()
			engine.Put(naming.Container(otherID), map[string]string{naming.LabelServer: otherID}, container.StateRunning)
			engine.PutServer(container.StateRunning)
			key := leftImage(t, engine)
			other := engine.Containers[naming.Container(otherID)]
			other.Config.Labels[instance.LabelCommit], other.Image = path+key, "other"
			engine.Containers[naming.Container(otherID)], engine.Images["other"] = other, image.InspectResponse{ID: "other"}
			status, body := ask(t, engine, "DELETE", "/v1/instances/"+otherID, "[]")
			if agenttest.WantOK(t, status, body); engine.Images["other"].ID != "" || len(records(t, engine)) != 1 {
				t.Errorf("images %v, and recorded is %v", engine.Images, records(t, engine))
			}
		})
	}
}

// TestABackupOfNoServer is named, and left alone: there are files in it.
func TestABackupOfNoServer(t *testing.T) {
	engine := enginetest.New()
	engine.Put(naming.Backup(enginetest.ServerID), map[string]string{naming.LabelServer: enginetest.ServerID}, container.StateExited)
	want := []string{`{"kind":"container","name":"` + naming.Backup(enginetest.ServerID) + `","server":"` + enginetest.ServerID + `"`}
	wantOrphans(t, engine, "GET", want...)
	wantOrphans(t, engine, "DELETE")
	wantContainers(t, engine, "ndock-ID-aside")
	makeServerDir(t, engine, enginetest.ServerID, instance.AbandonedAfter+time.Minute) // a resize that is not confirmed
	wantOrphans(t, engine, "GET")
}
