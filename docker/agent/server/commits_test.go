package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"ndock/docker/agent"
)

// leftImage has an agent make an image of a server's container, and end before it is through with that.
func leftImage(t *testing.T, engine *engine) (word string) {
	t.Helper()
	s := New(t.Context(), engine, Options{State: stateOf(t, engine)}, quiet())
	if _, _, err := s.commitContainer(t.Context(), serverID, engine.containers[namePrefix+serverID].ID, true); err != nil {
		t.Fatal(err)
	}
	wantWorked(t, s)
	return engine.images[loaded].Config.Labels[labelCommit]
}

// wantWorked checks that an image is no orphan as long as a verb works with it.
func wantWorked(t *testing.T, s *Server) {
	t.Helper()
	if found, err := s.orphanImages(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("it is an orphan while it is worked with: %v, %v", found, err)
	}
}

func words(t *testing.T, engine *engine) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(filepath.Dir(stateOf(t, engine)), "commits", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestTheImageOfASnapshotThatBrokeOff is found by what was written down before Docker made it.
func TestTheImageOfASnapshotThatBrokeOff(t *testing.T) {
	engine := newEngine()
	engine.info.ID = "AAAA"
	engine.putServer(container.StateRunning)
	leftImage(t, engine)
	want := `{"kind":"image","name":"` + loaded + `","server":"` + serverID + `"`
	wantOrphans(t, engine, "GET", want)
	wantOrphans(t, engine, "DELETE", want)
	wantOrphans(t, engine, "DELETE")
	if _, there := engine.images[loaded]; there || len(words(t, engine)) > 0 {
		t.Errorf("left behind: %v, %v", engine.images, words(t, engine))
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(engine.state), "commits")); err == nil {
		t.Error("the directory stays behind")
	}
}

// TestImagesThatAreNoOrphans: whoever else has one, or made it, keeps it.
func TestImagesThatAreNoOrphans(t *testing.T) {
	for name, change := range map[string]func(e *engine, word string){
		"a container is made of it": func(e *engine, _ string) {
			made := e.containers[namePrefix+serverID]
			made.Image = loaded
			e.containers[namePrefix+serverID] = made
		},
		"it has a name": func(e *engine, _ string) {
			found := e.images[loaded]
			found.RepoTags = []string{"mine:1"}
			e.images[loaded] = found
		},
		"it brings another's label": func(e *engine, word string) {
			e.images[loaded] = image.InspectResponse{ID: loaded, Config: labelled([]string{"LABEL " + labelCommit + "=X" + word})}
		},
		"it has no label":        func(e *engine, _ string) { e.images[loaded] = image.InspectResponse{ID: loaded} },
		"another engine made it": func(e *engine, _ string) { e.info.ID = "BBBB" },
	} {
		t.Run(name, func(t *testing.T) {
			engine := newEngine()
			engine.info.ID = "AAAA"
			engine.putServer(container.StateRunning)
			change(engine, leftImage(t, engine))
			wantOrphans(t, engine, "GET")
			wantOrphans(t, engine, "DELETE")
			if _, there := engine.images[loaded]; !there || len(words(t, engine)) != 1 {
				t.Errorf("images %v, and written down %v", engine.images, words(t, engine))
			}
		})
	}
}

// TestACommitWithoutAnImage is forgotten when Docker cannot be at it any more.
func TestACommitWithoutAnImage(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateRunning)
	word := leftImage(t, engine)
	delete(engine.images, loaded)
	wantOrphans(t, engine, "DELETE")
	if len(words(t, engine)) != 1 {
		t.Fatalf("written down is %v", words(t, engine))
	}
	then := time.Now().Add(-patience - time.Minute)
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
	engine := newEngine()
	engine.putServer(container.StateRunning)
	engine.archive = strings.NewReader("the archive")
	status, body := ask(t, engine, "POST", snapshotPath, "")
	if wantOK(t, status, body); len(words(t, engine)) > 0 {
		t.Errorf("after a snapshot: %v", words(t, engine))
	}
	engine = withAside(t)
	status, body = create(t, engine, agent.FromAside)
	if wantOK(t, status, body); len(words(t, engine)) != 1 {
		t.Errorf("after a resize: %v", words(t, engine))
	}
	wantOrphans(t, engine, "DELETE")
	engine.fail["ImageRemove"] = errAway // the agent ends between the container's removal and its image's
	status, body = ask(t, engine, "DELETE", serverPath, "[]")
	wantFault(t, status, body, 500, agent.Failed)
	delete(engine.fail, "ImageRemove")
	wantOrphans(t, engine, "DELETE", `"kind":"image"`)
}

// older has what is written down of images be from long ago.
func older(t *testing.T, engine *engine) {
	t.Helper()
	then := time.Now().Add(-patience - time.Minute)
	for _, file := range words(t, engine) {
		if err := os.Chtimes(file, then, then); err != nil {
			t.Fatal(err)
		}
	}
}

// resized is an engine with a server that was resized on this host, so often, and each time confirmed.
func resized(t *testing.T, times int) *engine {
	t.Helper()
	engine := withImage(t)
	engine.info.ID = "AAAA"
	engine.putServer(container.StateRunning)
	for range times {
		for _, step := range []struct{ method, path, body string }{
			{"POST", serverPath + "/aside?grace=0", ""}, {"PUT", serverPath, marshal(t, agent.Spec{MemoryMB: 512, Source: agent.FromAside})}, {"DELETE", serverPath + "/aside", "[]"},
		} {
			status, body := ask(t, engine, step.method, step.path, step.body)
			wantOK(t, status, body)
		}
	}
	return engine
}

// unnamed are the images without a name.
func unnamed(engine *engine) (ids []string) {
	for name, found := range engine.images {
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
	status, body := ask(t, engine, "DELETE", serverPath, "[]")
	if wantOK(t, status, body); len(unnamed(engine)) > 0 || len(words(t, engine)) != 2 {
		t.Errorf("left behind: %v, and written down %v", unnamed(engine), words(t, engine))
	}
	wantOrphans(t, engine, "DELETE")
	if left := words(t, engine); len(left) > 0 {
		t.Errorf("written down is %v", left)
	}
}

// TestAResizeWhoseImageCannotBeRead leaves none behind, whether Docker answers by then or only later.
func TestAResizeWhoseImageCannotBeRead(t *testing.T) {
	for name, fails := range map[string]func(e *engine) map[string]error{
		"once":           func(e *engine) map[string]error { return e.failOnce },
		"for some while": func(e *engine) map[string]error { return e.fail },
	} {
		t.Run(name, func(t *testing.T) {
			engine := withAside(t)
			engine.info.ID = "AAAA"
			fails(engine)["ImageInspect"] = errAway
			s := New(t.Context(), engine, Options{Version: "1.0", State: engine.state}, quiet())
			status, body := askServer(t, s, "PUT", serverPath, marshal(t, agent.Spec{MemoryMB: 512, Source: agent.FromAside}))
			wantFault(t, status, body, 500, agent.Failed)
			delete(engine.fail, "ImageInspect")
			if _, err := s.removeOrphans(t.Context()); err != nil { // of the same agent
				t.Error(err)
			}
			if len(unnamed(engine)) > 0 || len(words(t, engine)) > 0 {
				t.Errorf("left behind: %v, and written down %v", unnamed(engine), words(t, engine))
			}
		})
	}
}

// TestTheParentOfAnImageThatIsKept goes when the other does: while someone has made another image of it, it stays.
func TestTheParentOfAnImageThatIsKept(t *testing.T) {
	engine := resized(t, 2)
	last := engine.containers[namePrefix+serverID].Image
	parent := engine.parents[last]
	engine.images["mine"] = image.InspectResponse{ID: "mine", RepoTags: []string{"mine:1"}, Config: engine.images[parent].Config}
	engine.parents["mine"] = parent
	status, body := ask(t, engine, "DELETE", serverPath, "[]")
	if wantOK(t, status, body); engine.images[last].ID != "" || len(words(t, engine)) != 1 {
		t.Errorf("the last image: %+v, and written down is %v", engine.images[last], words(t, engine))
	}
	older(t, engine)
	wantOrphans(t, engine, "DELETE")
	if len(unnamed(engine)) != 1 || len(words(t, engine)) != 1 {
		t.Errorf("images %v, and written down is %v", unnamed(engine), words(t, engine))
	}
	delete(engine.images, "mine")
	wantOrphans(t, engine, "DELETE", `"kind":"image"`)
	if len(unnamed(engine)) > 0 || len(words(t, engine)) > 0 {
		t.Errorf("images %v, and written down is %v", unnamed(engine), words(t, engine))
	}
}

// TestAnImageNamesAnotherServersWord: what an image says about itself has no file removed.
func TestAnImageNamesAnotherServersWord(t *testing.T) {
	for name, path := range map[string]string{"the word": "", "a path": "../commits/", "a longer path": "../../*/commits/"} {
		t.Run(name, func(t *testing.T) {
			engine := newEngine()
			engine.put(namePrefix+otherID, map[string]string{labelServer: otherID}, container.StateRunning)
			engine.putServer(container.StateRunning)
			word := leftImage(t, engine)
			other := engine.containers[namePrefix+otherID]
			other.Config.Labels[labelCommit], other.Image = path+word, "other"
			engine.containers[namePrefix+otherID], engine.images["other"] = other, image.InspectResponse{ID: "other"}
			status, body := ask(t, engine, "DELETE", "/v1/instances/"+otherID, "[]")
			if wantOK(t, status, body); engine.images["other"].ID != "" || len(words(t, engine)) != 1 {
				t.Errorf("images %v, and written down is %v", engine.images, words(t, engine))
			}
		})
	}
}

// TestAContainerThatIsSetAsideForNobody is named, and left alone: there are files in it.
func TestAContainerThatIsSetAsideForNobody(t *testing.T) {
	engine := newEngine()
	engine.put(asideName(serverID), map[string]string{labelServer: serverID}, container.StateExited)
	want := []string{`{"kind":"container","name":"` + asideName(serverID) + `","server":"` + serverID + `"`}
	wantOrphans(t, engine, "GET", want...)
	wantOrphans(t, engine, "DELETE")
	wantContainers(t, engine, "ndock-ID-aside")
	makeServerDir(t, engine, serverID, patience+time.Minute) // a resize that is not confirmed
	wantOrphans(t, engine, "GET")
}
