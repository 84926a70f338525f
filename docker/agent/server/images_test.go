package server

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"

	"ndock/docker"
	"ndock/docker/agent"
)

const imagePath = "/v1/images/" + imageID

const imageConfig = `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`

// dockerArchive is the least that passes for what `docker save` writes: an image without layers.
func dockerArchive(t *testing.T) string {
	t.Helper()
	return archiveOf(t, "config.json", imageConfig, "manifest.json", `[{"Config":"config.json","RepoTags":["web:latest"],"Layers":[]}]`)
}

// archiveOf is a tar of these files, each a name and its content.
func archiveOf(t *testing.T, files ...string) string {
	t.Helper()
	var file bytes.Buffer
	archive := tar.NewWriter(&file)
	for i := 0; i < len(files); i += 2 {
		if err := archive.WriteHeader(&tar.Header{Name: files[i], Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(archive, files[i+1]); err != nil {
			t.Fatal(err)
		}
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

// TestPutImageRefusesStrangers: neither another tenant's layer nor a size beyond the operator's is loaded.
func TestPutImageRefusesStrangers(t *testing.T) {
	const layer = "sha256:c5ff0ab8cc1f1fb2d8a3e0a6a9e2f4c1d0b9a8978675645342312011f0e0d0c0"
	naming := strings.Replace(imageConfig, "[]", `["`+layer+`"]`, 1)
	manifest := `[{"Config":"config.json","Layers":["layer.tar"]}]`
	huge := archiveOf(t, "huge", string(make([]byte, 9<<20)))
	sum := sha256.Sum256([]byte(huge))
	for name, c := range map[string]struct{ content, says string }{
		"a layer that is not there": {archiveOf(t, "config.json", naming, "manifest.json", manifest), `its layer 1, \"layer.tar\", is missing`},
		"a second manifest":         {archiveOf(t, "config.json", imageConfig, "manifest.json", "[]", "./manifest.json", "[]"), `it has two entries \"manifest.json\"`},
		"many volumes":              {archiveOf(t, "config.json", `{"config":{"Volumes":{`+volumes(65)+`}},`+imageConfig[1:], "manifest.json", `[{"Config":"config.json","Layers":[]}]`), "it has 65 volumes; at most 64 are allowed"},
		"more than is allowed": {
			archiveOf(t, "layer.tar", huge, "config.json", strings.Replace(imageConfig, "[]", `["`+strings.TrimSuffix(strings.Repeat(fmt.Sprintf("sha256:%x\",\"", sum), 127), `","`)+`"]`, 1),
				"manifest.json", `[{"Config":"config.json","Layers":[`+strings.TrimSuffix(strings.Repeat(`"layer.tar",`, 127), ",")+`]}]`), "it unpacks to more than 1073741824 bytes, the most that is allowed (image_max_unpacked_gb)",
		},
	} {
		engine := newEngine()
		server := New(t.Context(), engine, Options{Version: "1.0", State: t.TempDir()}, quiet())
		server.rules.ImageMaxUnpackedGB = 1
		status, body := askServer(t, server, "PUT", imagePath, c.content)
		wantFault(t, status, body, 422, agent.UnusableImage)
		if !strings.Contains(body, c.says) {
			t.Errorf("%s: got %s, want %s", name, body, c.says)
		}
		if len(engine.images) != 0 {
			t.Errorf("%s: became the images %v", name, engine.images)
		}
	}
}

func volumes(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"/%d":{}`, i))
	}
	return strings.Join(all, ",")
}

// TestPutImageWithoutRoom: a host that has no room for an image is not a fault of the image.
func TestPutImageWithoutRoom(t *testing.T) {
	engine := newEngine()
	server := New(t.Context(), engine, Options{Version: "1.0", State: t.TempDir()}, quiet())
	server.rules.ImageReserveGB = 1 << 30
	status, body := askServer(t, server, "PUT", imagePath, dockerArchive(t))
	wantFault(t, status, body, 500, agent.Failed)
	if !strings.Contains(body, "there is no room for the image on this host: / has 0 MiB for images") || len(engine.images) != 0 {
		t.Errorf("got %s and the images %v", body, engine.images)
	}
}

// TestPutImageNotUnpacked: an engine with containerd's store keeps an image that it could not unpack. It does not stay.
func TestPutImageNotUnpacked(t *testing.T) {
	engine := newEngine()
	engine.account = func(archive io.Reader) string {
		return readWhole(archive) + `{"stream":"Error unpacking image ` + loaded + `: content not found\n"}`
	}
	status, body := ask(t, engine, "PUT", imagePath, dockerArchive(t))
	wantFault(t, status, body, 422, agent.UnusableImage)
	if !strings.Contains(body, "content not found") || !slices.Contains(engine.called(), "ImageRemove "+loaded) {
		t.Errorf("got %s and the calls %q", body, engine.called())
	}
}

// TestPromisedRoom: what one image will take is no room for another, until that one is done.
func TestPromisedRoom(t *testing.T) {
	directory := t.TempDir()
	free, err := freeOn(directory)
	if err != nil {
		t.Fatal(err)
	}
	for what, most := range map[string]space{"bytes": {bytes: free.bytes / 4 * 3}, "files": {files: free.files / 4 * 3}} {
		var r room
		release, err := r.promise(directory, most, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.promise(directory, most, 0); err == nil || fault(err).Code != agent.Failed || !strings.Contains(err.Error(), "there is no room for the image on this host") {
			t.Errorf("the same %s were promised twice: %v", what, err)
		}
		release()
		if _, err := r.promise(directory, most, 0); err != nil {
			t.Error(err)
		}
	}
	for _, n := range []int64{-1, math.MinInt64, math.MaxInt64} {
		var r room
		if _, err := r.promise(directory, space{bytes: n}, 0); err == nil || fault(err).Code != agent.Failed {
			t.Errorf("%d bytes were promised: %v", n, err)
		}
	}
}

// TestPutImageForAFlavor: an image for a new server is refused before Docker has it, if the flavor's disk is too small.
func TestPutImageForAFlavor(t *testing.T) {
	layer := sparseFile(1<<30 + 1)
	packed := archiveOf(t, "layer.tar", layer, "config.json", strings.Replace(imageConfig, "[]", fmt.Sprintf(`["sha256:%x"]`, sha256.Sum256([]byte(layer))), 1),
		"manifest.json", `[{"Config":"config.json","Layers":["layer.tar"]}]`)
	for query, code := range map[string]string{
		"": "", "?root_gb=0": "", "?root_gb=2": "", "?root_gb=2147483647": "",
		"?root_gb=1": agent.UnusableFlavor, "?root_gb=x": agent.BadRequest, "?root_gb=-1": agent.BadRequest, "?root_gb=": agent.BadRequest, "?root_gb=9999999999999": agent.BadRequest,
	} {
		engine := newEngine()
		status, body := ask(t, engine, "PUT", imagePath+query, packed)
		switch code {
		case "":
			wantOK(t, status, body)
			continue
		case agent.UnusableFlavor:
			wantFault(t, status, body, 422, code)
			if want := "the image unpacks to 1024 MiB, more than the flavor's disk of 1 GiB: boot it with a flavor of a larger disk"; !strings.Contains(body, want) {
				t.Errorf("%s: got %s, want %s", query, body, want)
			}
		default:
			wantFault(t, status, body, 400, code)
		}
		if len(engine.images) != 0 {
			t.Errorf("%s: became the images %v", query, engine.images)
		}
	}
}

// sparseFile is a layer of one file that has so many bytes, none of which are sent. Go's writer makes none.
func sparseFile(size int64) string {
	var b [3 * 512]byte
	copy(b[0:], "zeros")
	copy(b[100:], "0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00        S")
	copy(b[257:], "ustar  ")
	copy(b[386:], fmt.Sprintf("%011o", size)) // where the only part begins, which has no bytes
	copy(b[398:], "00000000000")
	copy(b[483:], fmt.Sprintf("%011o", size))
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return string(b[:])
}

// TestPutImageTakesRoom: an image of empty files takes room too: their blocks and their inodes.
func TestPutImageTakesRoom(t *testing.T) {
	layer := archiveOf(t, strings.Repeat("d/", 200)+"a", "", "b", "")
	packed := archiveOf(t, "layer.tar", layer, "config.json", strings.Replace(imageConfig, "[]", fmt.Sprintf(`["sha256:%x"]`, sha256.Sum256([]byte(layer))), 1),
		"manifest.json", `[{"Config":"config.json","Layers":["layer.tar"]}]`)
	server := New(t.Context(), newEngine(), Options{Version: "1.0", State: t.TempDir()}, quiet())
	release := func() {}
	defer func() { release() }()
	if err := server.check(io.Discard, strings.NewReader(packed), t.TempDir(), 0, &release); err != nil {
		t.Fatal(err)
	}
	const files = 202
	if want := (space{bytes: files*4096 + int64(len(layer)), files: files}); server.room.promised != want {
		t.Errorf("promised %+v, want %+v", server.room.promised, want)
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

// TestEngineThatStopsBeforeTheBody: a caller who sends nothing more does not keep the request once Docker has refused.
func TestEngineThatStopsBeforeTheBody(t *testing.T) {
	engine := newEngine()
	engine.account = func(io.Reader) string { return `{"error":"no space left on device"}` }
	web := httptest.NewServer(New(t.Context(), engine, Options{Version: "1.0", State: t.TempDir()}, quiet()).Handler())
	t.Cleanup(web.Close)
	silent, sender := io.Pipe()
	t.Cleanup(func() { sender.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // only where it fails
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "PUT", web.URL+imagePath, silent)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	wantFault(t, answer.StatusCode, string(body), 500, agent.Failed)
}

// deadlineWriter ends the reading of a body, as a connection with a deadline does.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	body *io.PipeWriter
}

func (w deadlineWriter) SetReadDeadline(time.Time) error {
	return w.body.CloseWithError(os.ErrDeadlineExceeded)
}

// TestBodyThatNeverEnds: nor does he keep it beyond its time, while Docker waits for more.
func TestBodyThatNeverEnds(t *testing.T) {
	engine := newEngine()
	ctx, cancel := context.WithCancel(t.Context())
	engine.account = func(archive io.Reader) string { cancel(); return hurry(archive) }
	silent, sender := io.Pipe()
	t.Cleanup(func() { sender.Close() })
	server := New(t.Context(), engine, Options{Version: "1.0", State: t.TempDir()}, quiet())
	ended := make(chan error, 1)
	go func() {
		request := httptest.NewRequestWithContext(ctx, "PUT", imagePath, io.MultiReader(strings.NewReader(dockerArchive(t)), silent))
		request.SetPathValue("id", imageID)
		_, err := server.putImage(deadlineWriter{httptest.NewRecorder(), sender}, request)
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil || len(engine.images) != 0 {
			t.Errorf("it ended with %v and the images %v", err, engine.images)
		}
	case <-time.After(20 * time.Second): // only where it fails
		t.Fatal("it waits for the body's end")
	}
}

// TestPutImageUnnamed: an image that could not be given its name does not stay without one.
func TestPutImageUnnamed(t *testing.T) {
	engine := newEngine()
	engine.fail["ImageTag"] = errAway
	status, body := ask(t, engine, "PUT", imagePath, dockerArchive(t))
	wantFault(t, status, body, 500, agent.Failed)
	if !slices.Contains(engine.called(), "ImageRemove "+loaded) {
		t.Errorf("it stays behind: %q", engine.called())
	}
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

// TestPutImageWithoutPlatform: Docker runs an image that does not say what it is for, and so does a node.
func TestPutImageWithoutPlatform(t *testing.T) {
	kernels := docker.GlanceArchitecture(runtime.GOARCH) // as some tools call it
	for _, architecture := range []string{"", kernels} {
		engine := newEngine()
		engine.images[loaded] = image.InspectResponse{ID: loaded, Os: "linux", Architecture: architecture}
		if status, body := ask(t, engine, "PUT", imagePath, dockerArchive(t)); status != http.StatusOK {
			t.Errorf("%q: %d %s", architecture, status, body)
		}
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
