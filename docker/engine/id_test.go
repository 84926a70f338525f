package engine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ndock/docker/engine"
	"ndock/docker/engine/enginetest"
)

// TestAnEngineWithoutItsData is another one, though it has the same id: what servers had there is not gone, but away.
func TestAnEngineWithoutItsData(t *testing.T) {
	docker := enginetest.New()
	docker.SystemInfo.ID, docker.SystemInfo.DockerRootDir = "AAAA:BBBB", filepath.Join(t.TempDir(), "docker")
	id := func() string {
		found, err := engine.ID(t.Context(), docker)
		if err != nil || !strings.HasPrefix(found, "AAAA:BBBB") {
			t.Fatalf("got %q, %v", found, err)
		}
		return found
	}
	move := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	root := docker.SystemInfo.DockerRootDir
	unseen := id()
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	with := id()
	if err := os.WriteFile(filepath.Join(root, "engine-id"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if again := id(); again != with {
		t.Errorf("it is %q, and then %q", with, again)
	}
	move(root, root+".away")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	if without := id(); without == with || unseen == with {
		t.Errorf("with its data %q, without %q, unseen %q", with, without, unseen)
	}
	if err := os.Remove(root); err != nil {
		t.Fatal(err)
	}
	move(root+".away", root)
	if back := id(); back != with {
		t.Errorf("it was %q, and is %q when the data is back", with, back)
	}
}

// TestAnEngineWithoutAnID is not taken for any.
func TestAnEngineWithoutAnID(t *testing.T) {
	docker := enginetest.New()
	docker.SystemInfo.ID = ""
	if id, err := engine.ID(t.Context(), docker); id != "" || err != nil {
		t.Errorf("got %q, %v", id, err)
	}
}
