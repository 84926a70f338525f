package server

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
)

const snapshotPath = "/v1/instances/" + serverID + "/snapshot"

func TestSnapshot(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateRunning)
	engine.archive = strings.NewReader("the archive")
	response, body, err := snapshot(t, engine)
	if err != nil || response.StatusCode != 200 || body != "the archive" {
		t.Fatalf("got %d %q, %v", response.StatusCode, body, err)
	}
	var found agent.Image
	if err := json.Unmarshal([]byte(response.Header.Get(agent.ImageHeader)), &found); err != nil {
		t.Fatal(err)
	}
	if want := (agent.Image{ID: loaded, Architecture: docker.GlanceArchitecture(runtime.GOARCH), Size: 4096}); found != want {
		t.Errorf("got %+v, want %+v", found, want)
	}
	if !slices.Contains(engine.called(), "ContainerCommit pause=true") {
		t.Errorf("the container is not paused for the commit: %q", engine.called())
	}
	if len(engine.images) != 0 {
		t.Errorf("images %v stay behind", engine.images)
	}
}

// TestSnapshotThatBreaks: its reader must not take the half for the whole.
func TestSnapshotThatBreaks(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StateRunning)
	engine.archive = io.MultiReader(strings.NewReader(strings.Repeat("half", 1<<16)), broken{io.ErrUnexpectedEOF})
	_, _, err := snapshot(t, engine)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the reader got %v", err)
	}
	if len(engine.images) != 0 {
		t.Errorf("images %v stay behind", engine.images)
	}
}

func TestSnapshotFaults(t *testing.T) {
	for _, method := range []string{"ContainerCommit", "ImageInspect", "ImageSave"} {
		engine := newEngine()
		engine.putServer(container.StateRunning)
		engine.archive = strings.NewReader("")
		engine.fail[method] = errAway
		response, body, _ := snapshot(t, engine)
		wantFault(t, response.StatusCode, body, 500, agent.Failed)
		if method == "ImageSave" && len(engine.images) != 0 {
			t.Errorf("%s fails: images %v stay behind", method, engine.images)
		}
	}
	response, body, _ := snapshot(t, newEngine())
	wantFault(t, response.StatusCode, body, 404, agent.NoSuchInstance)
}

// snapshot asks over a real connection: how a body ends is seen there only. The server has ended when it returns.
func snapshot(t *testing.T, engine *engine) (*http.Response, string, error) {
	t.Helper()
	server := httptest.NewServer(New(t.Context(), engine, Options{Version: "1.0", State: t.TempDir()}, quiet()).Handler())
	defer server.Close()
	response, err := http.Post(server.URL+snapshotPath, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}
