package imagecache_test

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"ndock/docker"
	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/agent/diskspace"
	"ndock/docker/agent/imagecache"
	"ndock/docker/agent/naming"
	"ndock/docker/agent/server"
	"ndock/docker/engine/enginetest"
)

const imagePath = "/v1/images/" + enginetest.ImageID

// dockerArchive is the least that passes for what `docker save` writes: an image without layers.
func dockerArchive(t *testing.T) string {
	t.Helper()
	return agenttest.Tar("config.json", agenttest.ImageConfig, "manifest.json", `[{"Config":"config.json","RepoTags":["web:latest"],"Layers":[]}]`)
}

// newServer is an agent over this engine.
func newServer(t *testing.T, docker *enginetest.Engine, operators config.Config) http.Handler {
	t.Helper()
	return server.New(t.Context(), docker, server.Options{Version: "1.0", State: t.TempDir()}, operators, agenttest.Quiet()).Handler()
}

func ask(t *testing.T, docker *enginetest.Engine, method, path, body string) (int, string) {
	t.Helper()
	return agenttest.Ask(t, newServer(t, docker, config.Default()), method, path, body)
}

func TestGetImage(t *testing.T) {
	engine := enginetest.New()
	status, body := ask(t, engine, "GET", imagePath, "")
	if status != 200 || strings.TrimSpace(body) != `{"present":false}` {
		t.Errorf("got %d %s", status, body)
	}
	engine.Images[naming.ImageTag(enginetest.ImageID)] = image.InspectResponse{}
	if status, body = ask(t, engine, "GET", imagePath, ""); strings.TrimSpace(body) != `{"present":true}` {
		t.Errorf("got %d %s", status, body)
	}
	engine.Fail["ImageInspect"] = enginetest.ErrAway
	status, body = ask(t, engine, "GET", imagePath, "")
	agenttest.WantFault(t, status, body, 500, agent.Failed)
}

// TestImageIDs: only an id of Glance's becomes part of a name in Docker.
func TestImageIDs(t *testing.T) {
	for _, id := range []string{"busybox", "C0FFEE00-1111-4222-8333-444455556666", enginetest.ImageID + "x", "latest@sha256:" + enginetest.ImageID} {
		for _, method := range []string{"GET", "PUT"} {
			engine := enginetest.New()
			status, body := ask(t, engine, method, "/v1/images/"+id, "")
			agenttest.WantFault(t, status, body, 400, agent.BadRequest)
			engine.WantCalls(t)
		}
	}
}

func TestPutImage(t *testing.T) {
	engine := enginetest.New()
	status, body := ask(t, engine, "PUT", imagePath, dockerArchive(t))
	agenttest.WantOK(t, status, body)
	if engine.Images[naming.ImageTag(enginetest.ImageID)].ID != enginetest.Loaded {
		t.Errorf("got images %v", engine.Images)
	}
}

func TestPutImageOnce(t *testing.T) {
	engine := enginetest.New()
	engine.Images[naming.ImageTag(enginetest.ImageID)] = image.InspectResponse{}
	status, body := ask(t, engine, "PUT", imagePath, dockerArchive(t))
	agenttest.WantOK(t, status, body)
	engine.WantCalls(t, "ImageInspect "+naming.ImageTag(enginetest.ImageID))
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
		engine := enginetest.New()
		status, body := ask(t, engine, "PUT", imagePath, content)
		agenttest.WantFault(t, status, body, 422, agent.UnusableImage)
		if _, there := engine.Images[naming.ImageTag(enginetest.ImageID)]; there {
			t.Errorf("%s: became an image", name)
		}
	}
}

// TestPutImageRefusesStrangers: neither another tenant's layer nor a size beyond the operator's is loaded.
func TestPutImageRefusesStrangers(t *testing.T) {
	const layer = "sha256:c5ff0ab8cc1f1fb2d8a3e0a6a9e2f4c1d0b9a8978675645342312011f0e0d0c0"
	naming := strings.Replace(agenttest.ImageConfig, "[]", `["`+layer+`"]`, 1)
	manifest := `[{"Config":"config.json","Layers":["layer.tar"]}]`
	huge := agenttest.Tar("huge", string(make([]byte, 9<<20)))
	sum := sha256.Sum256([]byte(huge))
	for name, c := range map[string]struct{ content, says string }{
		"a layer that is not there": {agenttest.Tar("config.json", naming, "manifest.json", manifest), `its layer 1, \"layer.tar\", is missing`},
		"a second manifest":         {agenttest.Tar("config.json", agenttest.ImageConfig, "manifest.json", "[]", "./manifest.json", "[]"), `it has two entries \"manifest.json\"`},
		"many volumes":              {agenttest.Tar("config.json", `{"config":{"Volumes":{`+volumes(65)+`}},`+agenttest.ImageConfig[1:], "manifest.json", `[{"Config":"config.json","Layers":[]}]`), "it has 65 volumes; at most 64 are allowed"},
		"more than is allowed": {
			agenttest.Tar("layer.tar", huge, "config.json", strings.Replace(agenttest.ImageConfig, "[]", `["`+strings.TrimSuffix(strings.Repeat(fmt.Sprintf("sha256:%x\",\"", sum), 127), `","`)+`"]`, 1),
				"manifest.json", `[{"Config":"config.json","Layers":[`+strings.TrimSuffix(strings.Repeat(`"layer.tar",`, 127), ",")+`]}]`), "it unpacks to more than 1073741824 bytes, the most that is allowed (image_max_unpacked_gb)",
		},
	} {
		engine := enginetest.New()
		operators := config.Default()
		operators.ImageMaxUnpackedGB = 1
		status, body := agenttest.Ask(t, newServer(t, engine, operators), "PUT", imagePath, c.content)
		agenttest.WantFault(t, status, body, 422, agent.UnusableImage)
		if !strings.Contains(body, c.says) {
			t.Errorf("%s: got %s, want %s", name, body, c.says)
		}
		if len(engine.Images) != 0 {
			t.Errorf("%s: became the images %v", name, engine.Images)
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
	engine := enginetest.New()
	operators := config.Default()
	operators.ImageReserveGB = 1 << 30
	status, body := agenttest.Ask(t, newServer(t, engine, operators), "PUT", imagePath, dockerArchive(t))
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	if !strings.Contains(body, "there is no room for the image on this host: / has 0 MiB for images") || len(engine.Images) != 0 {
		t.Errorf("got %s and the images %v", body, engine.Images)
	}
}

// TestPutImageNotUnpacked: an engine with containerd's store keeps an image that it could not unpack. It does not stay.
func TestPutImageNotUnpacked(t *testing.T) {
	engine := enginetest.New()
	engine.Account = func(archive io.Reader) string {
		return enginetest.ReadWhole(archive) + `{"stream":"Error unpacking image ` + enginetest.Loaded + `: content not found\n"}`
	}
	status, body := ask(t, engine, "PUT", imagePath, dockerArchive(t))
	agenttest.WantFault(t, status, body, 422, agent.UnusableImage)
	if !strings.Contains(body, "content not found") || !slices.Contains(engine.Called(), "ImageRemove "+enginetest.Loaded) {
		t.Errorf("got %s and the calls %q", body, engine.Called())
	}
}

// TestPutImageForAFlavor: an image for a new server is refused before Docker has it, if the flavor's disk is too small.
func TestPutImageForAFlavor(t *testing.T) {
	layer := sparseFile(1<<30 + 1)
	packed := agenttest.Tar("layer.tar", layer, "config.json", strings.Replace(agenttest.ImageConfig, "[]", fmt.Sprintf(`["sha256:%x"]`, sha256.Sum256([]byte(layer))), 1),
		"manifest.json", `[{"Config":"config.json","Layers":["layer.tar"]}]`)
	for query, code := range map[string]string{
		"": "", "?root_gb=0": "", "?root_gb=2": "", "?root_gb=2147483647": "",
		"?root_gb=1": agent.UnusableFlavor, "?root_gb=x": agent.BadRequest, "?root_gb=-1": agent.BadRequest, "?root_gb=": agent.BadRequest, "?root_gb=9999999999999": agent.BadRequest,
	} {
		engine := enginetest.New()
		status, body := ask(t, engine, "PUT", imagePath+query, packed)
		switch code {
		case "":
			agenttest.WantOK(t, status, body)
			continue
		case agent.UnusableFlavor:
			agenttest.WantFault(t, status, body, 422, code)
			if want := "the image unpacks to 1024 MiB, more than the flavor's disk of 1 GiB: boot it with a flavor of a larger disk"; !strings.Contains(body, want) {
				t.Errorf("%s: got %s, want %s", query, body, want)
			}
		default:
			agenttest.WantFault(t, status, body, 400, code)
		}
		if len(engine.Images) != 0 {
			t.Errorf("%s: became the images %v", query, engine.Images)
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

// TestPutImageSaysWhatDockerCannot: the reason is the archive's own, not that Docker's input ended.
func TestPutImageSaysWhatDockerCannot(t *testing.T) {
	_, body := ask(t, enginetest.New(), "PUT", imagePath, "QFI\xfb"+strings.Repeat("\x00", 4096))
	if !strings.Contains(body, "qcow2 disk image") {
		t.Errorf("got %s", body)
	}
}

// TestBodyWithoutItsEnd: all of the archive has come, but not the end of the body, which is how a caller says that
// the signature of the whole is wrong. An engine that reads no further than the archive must not save it.
func TestBodyWithoutItsEnd(t *testing.T) {
	for _, end := range []error{io.ErrUnexpectedEOF, syscall.ECONNRESET} {
		for name, account := range map[string]func(io.Reader) string{"reads all": enginetest.ReadWhole, "is in a hurry": hurry} {
			engine := enginetest.New()
			engine.Account = account
			w := httptest.NewRecorder()
			request := httptest.NewRequest("PUT", imagePath, io.MultiReader(strings.NewReader(dockerArchive(t)), agenttest.Broken{Err: end}))
			newServer(t, engine, config.Default()).ServeHTTP(w, request)
			if w.Code < 400 || len(engine.Images) != 0 {
				t.Errorf("%v, and the engine %s: got %d %s and images %v", end, name, w.Code, w.Body, engine.Images)
			}
		}
	}
}

// hurry reads an archive up to its last block, and no further.
func hurry(archive io.Reader) string {
	for blocks := tar.NewReader(archive); ; {
		if _, err := blocks.Next(); err != nil {
			return `{"stream":"Loaded image ID: ` + enginetest.Loaded + `\n"}`
		}
	}
}

// TestEngineThatStopsReading: the archive is good, and whatever comes after it is no reason to wait forever.
func TestEngineThatStopsReading(t *testing.T) {
	engine := enginetest.New()
	engine.Account = func(io.Reader) string { return `{"error":"no space left on device"}` }
	status, body := ask(t, engine, "PUT", imagePath, dockerArchive(t)+strings.Repeat("\x00", 1<<20))
	agenttest.WantFault(t, status, body, 500, agent.Failed)
}

// TestEngineThatStopsBeforeTheBody: a caller who sends nothing more does not keep the request once Docker has refused.
func TestEngineThatStopsBeforeTheBody(t *testing.T) {
	engine := enginetest.New()
	engine.Account = func(io.Reader) string { return `{"error":"no space left on device"}` }
	web := httptest.NewServer(newServer(t, engine, config.Default()))
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
	agenttest.WantFault(t, answer.StatusCode, string(body), 500, agent.Failed)
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
	engine := enginetest.New()
	ctx, cancel := context.WithCancel(t.Context())
	engine.Account = func(archive io.Reader) string { cancel(); return hurry(archive) }
	silent, sender := io.Pipe()
	t.Cleanup(func() { sender.Close() })
	handler := newServer(t, engine, config.Default())
	ended := make(chan int, 1)
	go func() {
		request := httptest.NewRequestWithContext(ctx, "PUT", imagePath, io.MultiReader(strings.NewReader(dockerArchive(t)), silent))
		w := deadlineWriter{httptest.NewRecorder(), sender}
		handler.ServeHTTP(w, request)
		ended <- w.Code
	}()
	select {
	case status := <-ended:
		if status < 400 || len(engine.Images) != 0 {
			t.Errorf("it ended with %d and the images %v", status, engine.Images)
		}
	case <-time.After(20 * time.Second): // only where it fails
		t.Fatal("it waits for the body's end")
	}
}

// TestPutImageUnnamed: an image that could not be given its name does not stay without one.
func TestPutImageUnnamed(t *testing.T) {
	engine := enginetest.New()
	engine.Fail["ImageTag"] = enginetest.ErrAway
	status, body := ask(t, engine, "PUT", imagePath, dockerArchive(t))
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	if !slices.Contains(engine.Called(), "ImageRemove "+enginetest.Loaded) {
		t.Errorf("it stays behind: %q", engine.Called())
	}
}

func TestPutImageForAnotherProcessor(t *testing.T) {
	engine := enginetest.New()
	engine.Images[enginetest.Loaded] = image.InspectResponse{ID: enginetest.Loaded, Os: "linux", Architecture: "s390x"}
	status, body := ask(t, engine, "PUT", imagePath, dockerArchive(t))
	agenttest.WantFault(t, status, body, 422, agent.UnusableImage)
	if !strings.Contains(body, "s390x") {
		t.Errorf("got %s", body)
	}
	if !slices.Contains(engine.Called(), "ImageRemove "+enginetest.Loaded) {
		t.Errorf("it stays behind: %q", engine.Called())
	}
}

// TestPutImageWithoutPlatform: Docker runs an image that does not say what it is for, and so does a node.
func TestPutImageWithoutPlatform(t *testing.T) {
	kernels := docker.GlanceArchitecture(runtime.GOARCH) // as some tools call it
	for _, architecture := range []string{"", kernels} {
		engine := enginetest.New()
		engine.Images[enginetest.Loaded] = image.InspectResponse{ID: enginetest.Loaded, Os: "linux", Architecture: architecture}
		if status, body := ask(t, engine, "PUT", imagePath, dockerArchive(t)); status != http.StatusOK {
			t.Errorf("%q: %d %s", architecture, status, body)
		}
	}
}

func TestImagesAge(t *testing.T) {
	engine := enginetest.New()
	engine.Images[naming.ImageTag(enginetest.ImageID)] = image.InspectResponse{ID: enginetest.Loaded}
	status, body := ask(t, engine, "DELETE", "/v1/images", `{"unused_seconds":60}`)
	agenttest.WantOK(t, status, body)
	engine.WantCalls(t, "ImageList", "ContainerList", "ImageInspect "+naming.ImageTag(enginetest.ImageID), "ImageRemove "+naming.ImageTag(enginetest.ImageID))
}

func TestUsedImagesDoNotAge(t *testing.T) {
	engine := enginetest.New()
	engine.Images[naming.ImageTag(enginetest.ImageID)] = image.InspectResponse{ID: enginetest.Loaded}
	engine.PutServer(container.StateExited)
	engine.Containers[naming.Container(enginetest.ServerID)].Image = enginetest.Loaded
	status, body := ask(t, engine, "DELETE", "/v1/images", `{"unused_seconds":0}`)
	agenttest.WantOK(t, status, body)
	engine.WantCalls(t, "ImageList", "ContainerList")
}

// TestPruneTakesItsOwn: names that the operator gave stay, with their images, and so does what a container uses.
func TestPruneTakesItsOwn(t *testing.T) {
	const other, usedID = "44444444-0000-4000-8000-000000000000", "55555555-0000-4000-8000-000000000000"
	engine := enginetest.New()
	for tag, id := range map[string]string{
		naming.ImageTag(enginetest.ImageID): "sha256:cached",
		naming.ImageTag(other):              "sha256:tagged", "operators/web:1": "sha256:tagged",
		naming.ImageTag(usedID): "sha256:used", naming.ImageTag("mine"): "sha256:operators",
		naming.ImageTag("latest"): "sha256:cached2", "ndock/glance-tools:1": "sha256:tools",
	} {
		engine.Images[tag] = image.InspectResponse{ID: id}
	}
	engine.PutServer(container.StateExited)
	engine.Containers[naming.Container(enginetest.ServerID)].Image = "sha256:used"
	removed, err := imagecache.New(engine, t.TempDir(), config.Default(), diskspace.New(1<<30), agenttest.Quiet()).Prune(t.Context(), 0)
	if err != nil || removed != 2 {
		t.Errorf("removed %d, %v", removed, err)
	}
	delete(engine.Images, "sha256:tagged") // by which the fake finds it, too
	want := []string{naming.ImageTag(usedID), "ndock/glance-tools:1", naming.ImageTag("latest"), naming.ImageTag("mine"), "operators/web:1"}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(engine.Images)); !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
	for _, call := range engine.Called() {
		if strings.HasPrefix(call, "ImageRemove sha256:") {
			t.Errorf("%s: by id, which takes all names away", call)
		}
	}
}

func TestForgetImage(t *testing.T) {
	engine := enginetest.New()
	engine.Images[naming.ImageTag(enginetest.ImageID)] = image.InspectResponse{ID: enginetest.Loaded}
	status, body := ask(t, engine, "DELETE", imagePath, "")
	agenttest.WantOK(t, status, body)
	status, body = ask(t, engine, "DELETE", imagePath, "")
	agenttest.WantOK(t, status, body)
	if len(engine.Images) > 0 {
		t.Errorf("got images %v", engine.Images)
	}
}
