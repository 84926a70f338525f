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
