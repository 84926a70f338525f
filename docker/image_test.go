package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/client"

	"ndock/docker/engine/enginetest"
)

func engineAt(t *testing.T, host string) Engine {
	t.Helper()
	engine, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	return engine
}

func newEngine(t *testing.T) Engine {
	t.Helper()
	fake := enginetest.Serve(enginetest.NewWithImages())
	t.Cleanup(fake.Close)
	return engineAt(t, fake.Host)
}

func wantError(t *testing.T, err error, message, hint string) {
	t.Helper()
	var explained *Error
	if !errors.As(err, &explained) {
		t.Fatalf("error %v, want an *Error", err)
	}
	if !strings.Contains(err.Error(), message) {
		t.Errorf("error %q\nhas no %q", err, message)
	}
	if !strings.Contains(explained.Hint(), hint) || (hint == "") != (explained.Hint() == "") {
		t.Errorf("hint %q, want %q", explained.Hint(), hint)
	}
}

func TestFindImage(t *testing.T) {
	t.Parallel()
	image, err := FindImage(t.Context(), newEngine(t), enginetest.Good)
	if err != nil {
		t.Fatal(err)
	}
	if image.ID != enginetest.IDs[enginetest.Good] || !slices.Equal(image.Tags, []string{"tiny:1"}) || image.Architecture != "amd64" || image.OS != "linux" || image.Size != 1500<<20 {
		t.Errorf("image %+v", image)
	}
}

// TestFindStoredImage: in containerd's image store an image's id is not that of its configuration, nor its size unpacked.
func TestFindStoredImage(t *testing.T) {
	t.Parallel()
	image, err := FindImage(t.Context(), newEngine(t), enginetest.Stored)
	if err != nil {
		t.Fatal(err)
	}
	if image.ID != "" || image.Digest != enginetest.IDs[enginetest.Stored] {
		t.Errorf("image %+v", image)
	}
}

func TestFindNoImage(t *testing.T) {
	t.Parallel()
	_, err := FindImage(t.Context(), newEngine(t), "nope:1")
	wantError(t, err, `image "nope:1": the engine has no such image`, "docker pull nope:1")
}

func TestNoEngine(t *testing.T) {
	t.Parallel()
	engine := engineAt(t, "unix:///no/such/docker.sock")
	_, err := FindImage(t.Context(), engine, "tiny:1")
	wantError(t, err, `image "tiny:1": `, "start Docker, or let DOCKER_HOST name an engine")
	_, err = SaveImage(t.Context(), engine, Image{ID: "sha256:abc"})
	wantError(t, err, `save image "sha256:abc": `, "start Docker, or let DOCKER_HOST name an engine")
}

func TestInterruptedFind(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if _, err := FindImage(ctx, newEngine(t), "tiny:1"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the interruption", err)
	}
}

func TestSaveImage(t *testing.T) {
	t.Parallel()
	archive, err := SaveImage(t.Context(), newEngine(t), Image{ID: enginetest.IDs[enginetest.Good]})
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if content, err := io.ReadAll(archive); err != nil || !bytes.Equal(content, enginetest.Archive()) {
		t.Errorf("%d bytes (%v), want the archive's %d", len(content), err, len(enginetest.Archive()))
	}
}

func TestSaveBreaksOff(t *testing.T) {
	t.Parallel()
	archive, err := SaveImage(t.Context(), newEngine(t), Image{ID: enginetest.IDs[enginetest.Cut]})
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if content, err := io.ReadAll(archive); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d bytes and %v, want an end that is told from a good one", len(content), err)
	}
}

// TestOpenWithBadHost is not parallel: the engine is named by the environment.
func TestOpenWithBadHost(t *testing.T) {
	for host, want := range map[string]string{
		"nonsense":                "use Docker Engine: DOCKER_HOST is \"nonsense\", which is no address of one",
		"unix://":                 "use Docker Engine: DOCKER_HOST is \"unix://\", which is no address of one",
		"ssh://":                  "use Docker Engine: DOCKER_HOST is \"ssh://\", which is no address of one",
		"ssh://root:secret@there": "use Docker Engine: ",
	} {
		t.Setenv("DOCKER_HOST", host)
		_, err := Open()
		wantError(t, err, want, hostForms)
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestGlanceArchitecture(t *testing.T) {
	t.Parallel()
	for docker, want := range map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i686", "arm": "armv7l", "s390x": "s390x", "": ""} {
		if got := GlanceArchitecture(docker); got != want {
			t.Errorf("%q is %q, want %q", docker, got, want)
		}
	}
}
