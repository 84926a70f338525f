package instance_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"ndock/docker"
	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/server"
	"ndock/docker/engine/enginetest"
)

const snapshotPath = "/v1/instances/" + enginetest.ServerID + "/snapshot"

func TestSnapshot(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	engine.Archive = strings.NewReader("the archive")
	response, body, err := snapshot(t, engine)
	if err != nil || response.StatusCode != 200 || body != "the archive" {
		t.Fatalf("got %d %q, %v", response.StatusCode, body, err)
	}
	var found agent.Image
	if err := json.Unmarshal([]byte(response.Header.Get(agent.ImageHeader)), &found); err != nil {
		t.Fatal(err)
	}
	if want := (agent.Image{ID: enginetest.Loaded, Architecture: docker.GlanceArchitecture(runtime.GOARCH), Size: 4096}); found != want {
		t.Errorf("got %+v, want %+v", found, want)
	}
	if !slices.Contains(engine.Called(), "ContainerCommit pause=true") {
		t.Errorf("the container is not paused for the commit: %q", engine.Called())
	}
	if len(engine.Images) != 0 {
		t.Errorf("images %v stay behind", engine.Images)
	}
}

// TestSnapshotThatBreaks: its reader must not take the half for the whole.
func TestSnapshotThatBreaks(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	engine.Archive = io.MultiReader(strings.NewReader(strings.Repeat("half", 1<<16)), agenttest.Broken{Err: io.ErrUnexpectedEOF})
	_, _, err := snapshot(t, engine)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the reader got %v", err)
	}
	if len(engine.Images) != 0 {
		t.Errorf("images %v stay behind", engine.Images)
	}
}

func TestSnapshotFaults(t *testing.T) {
	for _, method := range []string{"ContainerCommit", "ImageInspect", "ImageSave"} {
		engine := enginetest.New()
		engine.PutServer(container.StateRunning)
		engine.Archive = strings.NewReader("")
		engine.Fail[method] = enginetest.ErrAway
		response, body, _ := snapshot(t, engine)
		agenttest.WantFault(t, response.StatusCode, body, 500, agent.Failed)
		if method == "ImageSave" && len(engine.Images) != 0 {
			t.Errorf("%s fails: images %v stay behind", method, engine.Images)
		}
	}
	response, body, _ := snapshot(t, enginetest.New())
	agenttest.WantFault(t, response.StatusCode, body, 404, agent.NoSuchInstance)
}

// snapshot asks over a real connection: how a body ends is seen there only. The server has ended when it returns.
func snapshot(t *testing.T, engine *enginetest.Engine) (*http.Response, string, error) {
	t.Helper()
	server := httptest.NewServer(newServer(t, engine, server.Options{Version: "1.0", State: t.TempDir()}).Handler())
	defer server.Close()
	response, err := http.Post(server.URL+snapshotPath, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}
