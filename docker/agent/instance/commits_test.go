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

// leftImage has an agent make an image of a server's container, and end before it is through with that.
func leftImage(t *testing.T, engine *enginetest.Engine) (word string) {
	t.Helper()
	s := newInstances(engine, instance.Options{State: agenttest.StateOf(t, engine)})
	if err := s.Snapshots.Commit(t.Context(), enginetest.ServerID, engine.Containers[naming.Container(enginetest.ServerID)].ID); err != nil {
		t.Fatal(err)
	}
	wantWorked(t, s)
	return engine.Images[enginetest.Loaded].Config.Labels[instance.LabelCommit]
}

// wantWorked checks that an image is no orphan as long as a verb works with it.
func wantWorked(t *testing.T, s *instance.Instances) {
	t.Helper()
	if found, err := s.Orphans.Images(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("it is an orphan while it is worked with: %v, %v", found, err)
	}
}

func words(t *testing.T, engine *enginetest.Engine) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(filepath.Dir(agenttest.StateOf(t, engine)), "commits", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestTheImageOfASnapshotThatBrokeOff is found by what was written down before Docker made it.
func TestTheImageOfASnapshotThatBrokeOff(t *testing.T) {
	engine := enginetest.New()
	engine.SystemInfo.ID = "AAAA"
	engine.PutServer(container.StateRunning)
	leftImage(t, engine)
	want := `{"kind":"image","name":"` + enginetest.Loaded + `","server":"` + enginetest.ServerID + `"`
	wantOrphans(t, engine, "GET", want)
	wantOrphans(t, engine, "DELETE", want)
	wantOrphans(t, engine, "DELETE")
	if _, there := engine.Images[enginetest.Loaded]; there || len(words(t, engine)) > 0 {
		t.Errorf("left behind: %v, %v", engine.Images, words(t, engine))
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(engine.State), "commits")); err == nil {
		t.Error("the directory stays behind")
	}
}

// TestImagesThatAreNoOrphans: whoever else has one, or made it, keeps it.
func TestImagesThatAreNoOrphans(t *testing.T) {
	for name, change := range map[string]func(e *enginetest.Engine, word string){
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
		"it brings another's label": func(e *enginetest.Engine, word string) {
			e.Images[enginetest.Loaded] = image.InspectResponse{ID: enginetest.Loaded, Config: enginetest.Labelled([]string{"LABEL " + instance.LabelCommit + "=X" + word})}
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
			if _, there := engine.Images[enginetest.Loaded]; !there || len(words(t, engine)) != 1 {
				t.Errorf("images %v, and written down %v", engine.Images, words(t, engine))
			}
		})
	}
}

// TestACommitWithoutAnImage is forgotten when Docker cannot be at it any more.
func TestACommitWithoutAnImage(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	word := leftImage(t, engine)
	delete(engine.Images, enginetest.Loaded)
	wantOrphans(t, engine, "DELETE")
	if len(words(t, engine)) != 1 {
		t.Fatalf("written down is %v", words(t, engine))
	}
	then := time.Now().Add(-instance.AbandonedAfter - time.Minute)
	if err := os.Chtimes(words(t, engine)[0], then, then); err != nil || filepath.Base(words(t, engine)[0]) != word {
		t.Fatal(err, words(t, engine))
	}
	wantOrphans(t, engine, "DELETE")
	if left := words(t, engine); len(left) > 0 {
		t.Errorf("written down is %v", left)
	}
}

// TestWhatIsWrittenDownOfImages: nothing after a snapshot; after a resize it stays as long as the image does.
func TestWhatIsWrittenDownOfImages(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	engine.Archive = strings.NewReader("the archive")
	status, body := ask(t, engine, "POST", snapshotPath, "")
	if agenttest.WantOK(t, status, body); len(words(t, engine)) > 0 {
		t.Errorf("after a snapshot: %v", words(t, engine))
	}
	engine = withAside(t)
	status, body = create(t, engine, agent.FromAside)
	if agenttest.WantOK(t, status, body); len(words(t, engine)) != 1 {
		t.Errorf("after a resize: %v", words(t, engine))
	}
	wantOrphans(t, engine, "DELETE")
	engine.Fail["ImageRemove"] = enginetest.ErrAway // the agent ends between the container's removal and its image's
	status, body = ask(t, engine, "DELETE", agenttest.ServerPath, "[]")
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	delete(engine.Fail, "ImageRemove")
	wantOrphans(t, engine, "DELETE", `"kind":"image"`)
}

// older has what is written down of images be from long ago.
func older(t *testing.T, engine *enginetest.Engine) {
	t.Helper()
	then := time.Now().Add(-instance.AbandonedAfter - time.Minute)
	for _, file := range words(t, engine) {
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
			{"POST", agenttest.ServerPath + "/aside?grace=0", ""}, {"PUT", agenttest.ServerPath, marshal(t, agent.Spec{MemoryMB: 512, Source: agent.FromAside})}, {"DELETE", agenttest.ServerPath + "/aside", "[]"},
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
	if len(unnamed(engine)) != 3 || len(words(t, engine)) != 3 {
		t.Fatalf("images %v, and written down %v", unnamed(engine), words(t, engine))
	}
	status, body := ask(t, engine, "DELETE", agenttest.ServerPath, "[]")
	if agenttest.WantOK(t, status, body); len(unnamed(engine)) > 0 || len(words(t, engine)) != 2 {
		t.Errorf("left behind: %v, and written down %v", unnamed(engine), words(t, engine))
	}
	wantOrphans(t, engine, "DELETE")
	if left := words(t, engine); len(left) > 0 {
		t.Errorf("written down is %v", left)
	}
}

// TestAResizeWhoseImageCannotBeRead leaves none behind, whether Docker answers by then or only later.
func TestAResizeWhoseImageCannotBeRead(t *testing.T) {
	for name, fails := range map[string]func(e *enginetest.Engine) map[string]error{
		"once":           func(e *enginetest.Engine) map[string]error { return e.FailOnce },
		"for some while": func(e *enginetest.Engine) map[string]error { return e.Fail },
	} {
		t.Run(name, func(t *testing.T) {
			engine := withAside(t)
			engine.SystemInfo.ID = "AAAA"
			fails(engine)["ImageInspect"] = enginetest.ErrAway
			s := newServer(t, engine, server.Options{Version: "1.0", State: engine.State})
			status, body := askServer(t, s, "PUT", agenttest.ServerPath, marshal(t, agent.Spec{MemoryMB: 512, Source: agent.FromAside}))
			agenttest.WantFault(t, status, body, 500, agent.Failed)
			delete(engine.Fail, "ImageInspect")
			status, body = askServer(t, s, "DELETE", "/v1/orphans", "") // of the same agent
			agenttest.WantOK(t, status, body)
			if len(unnamed(engine)) > 0 || len(words(t, engine)) > 0 {
				t.Errorf("left behind: %v, and written down %v", unnamed(engine), words(t, engine))
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
	if agenttest.WantOK(t, status, body); engine.Images[last].ID != "" || len(words(t, engine)) != 1 {
		t.Errorf("the last image: %+v, and written down is %v", engine.Images[last], words(t, engine))
	}
	older(t, engine)
	wantOrphans(t, engine, "DELETE")
	if len(unnamed(engine)) != 1 || len(words(t, engine)) != 1 {
		t.Errorf("images %v, and written down is %v", unnamed(engine), words(t, engine))
	}
	delete(engine.Images, "mine")
	wantOrphans(t, engine, "DELETE", `"kind":"image"`)
	if len(unnamed(engine)) > 0 || len(words(t, engine)) > 0 {
		t.Errorf("images %v, and written down is %v", unnamed(engine), words(t, engine))
	}
}

// TestAnImageNamesAnotherServersWord: what an image says about itself has no file removed.
func TestAnImageNamesAnotherServersWord(t *testing.T) {
	for name, path := range map[string]string{"the word": "", "a path": "../commits/", "a longer path": "../../*/commits/"} {
		t.Run(name, func(t *testing.T) {
			engine := enginetest.New()
			engine.Put(naming.Container(otherID), map[string]string{naming.LabelServer: otherID}, container.StateRunning)
			engine.PutServer(container.StateRunning)
			word := leftImage(t, engine)
			other := engine.Containers[naming.Container(otherID)]
			other.Config.Labels[instance.LabelCommit], other.Image = path+word, "other"
			engine.Containers[naming.Container(otherID)], engine.Images["other"] = other, image.InspectResponse{ID: "other"}
			status, body := ask(t, engine, "DELETE", "/v1/instances/"+otherID, "[]")
			if agenttest.WantOK(t, status, body); engine.Images["other"].ID != "" || len(words(t, engine)) != 1 {
				t.Errorf("images %v, and written down is %v", engine.Images, words(t, engine))
			}
		})
	}
}

// TestAContainerThatIsSetAsideForNobody is named, and left alone: there are files in it.
func TestAContainerThatIsSetAsideForNobody(t *testing.T) {
	engine := enginetest.New()
	engine.Put(naming.Backup(enginetest.ServerID), map[string]string{naming.LabelServer: enginetest.ServerID}, container.StateExited)
	want := []string{`{"kind":"container","name":"` + naming.Backup(enginetest.ServerID) + `","server":"` + enginetest.ServerID + `"`}
	wantOrphans(t, engine, "GET", want...)
	wantOrphans(t, engine, "DELETE")
	wantContainers(t, engine, "ndock-ID-aside")
	makeServerDir(t, engine, enginetest.ServerID, instance.AbandonedAfter+time.Minute) // a resize that is not confirmed
	wantOrphans(t, engine, "GET")
}
