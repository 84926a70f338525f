package server

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/image"

	"ndock/docker/agent"
)

const imagePath = "/v1/images/" + imageID

// dockerArchive is the least that passes for what `docker save` writes.
func dockerArchive(t *testing.T) string {
	t.Helper()
	manifest := []byte(`[{"Config":"config.json","RepoTags":["web:latest"],"Layers":[]}]`)
	var file bytes.Buffer
	archive := tar.NewWriter(&file)
	header := &tar.Header{Name: "manifest.json", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(manifest))}
	if err := archive.WriteHeader(header); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Write(manifest); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return file.String()
}

func TestLoadRefused(t *testing.T) {
	for reason, c := range map[string]struct{ code, says string }{
		"bad":                                   {agent.UnusableImage, "bad"},
		"max depth exceeded":                    {agent.UnusableImage, "more layers than"},
		"write /layer: no space left on device": {agent.Failed, "no space left"},
	} {
		if err := refused(reason); fault(err).Code != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %s with %q", reason, err, c.code, c.says)
		}
	}
}

func TestGetImage(t *testing.T) {
	engine := newEngine()
	status, body := ask(t, engine, "GET", imagePath, "")
	if status != 200 || strings.TrimSpace(body) != `{"present":false}` {
		t.Errorf("got %d %s", status, body)
	}
	engine.images[imageTag(imageID)] = image.InspectResponse{}
	if status, body = ask(t, engine, "GET", imagePath, ""); strings.TrimSpace(body) != `{"present":true}` {
		t.Errorf("got %d %s", status, body)
	}
	engine.fail["ImageInspect"] = errAway
	status, body = ask(t, engine, "GET", imagePath, "")
	wantFault(t, status, body, 500, agent.Failed)
}

// TestImageIDs: only an id of Glance's becomes part of a name in Docker.
func TestImageIDs(t *testing.T) {
	for _, id := range []string{"busybox", "C0FFEE00-1111-4222-8333-444455556666", imageID + "x", "latest@sha256:" + imageID} {
		for _, method := range []string{"GET", "PUT"} {
			engine := newEngine()
			status, body := ask(t, engine, method, "/v1/images/"+id, "")
			wantFault(t, status, body, 400, agent.BadRequest)
			wantCalls(t, engine)
		}
	}
}

func TestPutImage(t *testing.T) {
	engine := newEngine()
	status, body := ask(t, engine, "PUT", imagePath, dockerArchive(t))
	wantOK(t, status, body)
	if engine.images[imageTag(imageID)].ID != loaded {
		t.Errorf("got images %v", engine.images)
	}
}

func TestPutImageOnce(t *testing.T) {
	engine := newEngine()
	engine.images[imageTag(imageID)] = image.InspectResponse{}
	status, body := ask(t, engine, "PUT", imagePath, dockerArchive(t))
	wantOK(t, status, body)
	wantCalls(t, engine, "ImageInspect "+imageTag(imageID))
}

func TestPutImageRefuses(t *testing.T) {
	whole := dockerArchive(t)
	for name, content := range map[string]string{
		"qcow2":    "QFI\xfb" + strings.Repeat("\x00", 4096),
		"empty":    "",
		"cut off":  whole[:540],
		"no tar":   strings.Repeat("nonsense ", 1000),
		"no image": string(make([]byte, 1024)),
	} {
		engine := newEngine()
		status, body := ask(t, engine, "PUT", imagePath, content)
		wantFault(t, status, body, 422, agent.UnusableImage)
		if _, there := engine.images[imageTag(imageID)]; there {
			t.Errorf("%s: became an image", name)
		}
	}
}

// TestPutImageSaysWhatDockerCannot: the reason is the archive's own, not that Docker's input ended.
func TestPutImageSaysWhatDockerCannot(t *testing.T) {
	_, body := ask(t, newEngine(), "PUT", imagePath, "QFI\xfb"+strings.Repeat("\x00", 4096))
	if !strings.Contains(body, "qcow2 disk image") {
		t.Errorf("got %s", body)
	}
}

// TestBodyWithoutItsEnd: all of the archive has come, but not the end of the body, which is how a caller says that
// the signature of the whole is wrong. An engine that reads no further than the archive must not save it.
func TestBodyWithoutItsEnd(t *testing.T) {
	for _, end := range []error{io.ErrUnexpectedEOF, syscall.ECONNRESET} {
		for name, account := range map[string]func(io.Reader) string{"reads all": readWhole, "is in a hurry": hurry} {
			engine := newEngine()
			engine.account = account
			w := httptest.NewRecorder()
			request := httptest.NewRequest("PUT", imagePath, io.MultiReader(strings.NewReader(dockerArchive(t)), broken{end}))
			New(t.Context(), engine, Options{Version: "1.0", State: t.TempDir()}, quiet()).Handler().ServeHTTP(w, request)
			if w.Code < 400 || len(engine.images) != 0 {
				t.Errorf("%v, and the engine %s: got %d %s and images %v", end, name, w.Code, w.Body, engine.images)
			}
		}
	}
}

// hurry reads an archive up to its last block, and no further.
func hurry(archive io.Reader) string {
	for blocks := tar.NewReader(archive); ; {
		if _, err := blocks.Next(); err != nil {
			return `{"stream":"Loaded image ID: ` + loaded + `\n"}`
		}
	}
}

// broken is what a body reads as whose caller went away.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// TestEngineThatStopsReading: the archive is good, and whatever comes after it is no reason to wait forever.
func TestEngineThatStopsReading(t *testing.T) {
	engine := newEngine()
	engine.account = func(io.Reader) string { return `{"error":"no space left on device"}` }
	status, body := ask(t, engine, "PUT", imagePath, dockerArchive(t)+strings.Repeat("\x00", 1<<20))
	wantFault(t, status, body, 500, agent.Failed)
}

func TestPutImageForAnotherProcessor(t *testing.T) {
	engine := newEngine()
	engine.images[loaded] = image.InspectResponse{ID: loaded, Os: "linux", Architecture: "s390x"}
	status, body := ask(t, engine, "PUT", imagePath, dockerArchive(t))
	wantFault(t, status, body, 422, agent.UnusableImage)
	if !strings.Contains(body, "s390x") {
		t.Errorf("got %s", body)
	}
	if !slices.Contains(engine.called(), "ImageRemove "+loaded) {
		t.Errorf("it stays behind: %q", engine.called())
	}
}

// TestDiscard: an image that was on the host before, under a name, is not taken away with a tenant's copy of it.
func TestDiscard(t *testing.T) {
	for name, c := range map[string]struct {
		tags    []string
		fail    error
		removed bool
	}{
		"ours alone":       {removed: true},
		"the operator's":   {tags: []string{"busybox:latest"}},
		"docker refuses":   {fail: errAway},
		"not there at all": {tags: []string{"gone"}},
	} {
		engine := newEngine()
		if c.tags == nil || c.tags[0] != "gone" {
			engine.images[loaded] = image.InspectResponse{ID: loaded, RepoTags: c.tags}
		}
		engine.fail["ImageRemove"] = c.fail
		err := New(t.Context(), engine, Options{Version: "1.0", State: t.TempDir()}, quiet()).discard(loaded)
		if !errors.Is(err, c.fail) {
			t.Errorf("%s: got %v", name, err)
		}
		if removed := c.fail == nil && slices.Contains(engine.called(), "ImageRemove "+loaded); removed != c.removed {
			t.Errorf("%s: removed: %t", name, removed)
		}
	}
}
