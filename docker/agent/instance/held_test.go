package instance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/opencontainers/go-digest"

	"ndock/docker"
	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/server"
	"ndock/docker/archive"
	"ndock/docker/engine/enginetest"
)

// committing is an engine whose commits have the layers that are in its files: one of 3 MiB, and a small one.
type committing struct {
	*enginetest.Engine
	files   enginetest.LayerFiles
	tars    [][]byte
	diffIDs []digest.Digest
	id      string // of the image that is made
	size    int64  // that Docker tells of it
}

func newCommitting(t *testing.T) *committing {
	t.Helper()
	c := &committing{Engine: enginetest.New(), files: enginetest.NewLayerFiles(t), tars: [][]byte{
		enginetest.Tar("large", strings.Repeat("large", 600_000)), enginetest.Tar("small", "small"),
	}}
	c.diffIDs = c.files.Put(c.tars...)
	text, err := json.Marshal(map[string]any{"architecture": runtime.GOARCH, "os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": c.diffIDs}})
	if err != nil {
		t.Fatal(err)
	}
	c.id = string(c.files.PutConfig(text))
	c.SystemInfo.DockerRootDir, c.Archive = c.files.Root, strings.NewReader("the whole archive")
	c.PutServer(container.StateRunning)
	return c
}

func (c *committing) ContainerCommit(ctx context.Context, id string, options container.CommitOptions) (container.CommitResponse, error) {
	made, err := c.Engine.ContainerCommit(ctx, id, options)
	if err != nil {
		return made, err
	}
	c.Mu.Lock()
	defer c.Mu.Unlock()
	found := c.Images[made.ID]
	delete(c.Images, made.ID)
	found.ID, found.Size, found.RootFS = c.id, max(found.Size, c.size), image.RootFS{Type: "layers"}
	for _, one := range c.diffIDs {
		found.RootFS.Layers = append(found.RootFS.Layers, string(one))
	}
	c.Images[c.id] = found
	return container.CommitResponse{ID: c.id}, nil
}

// holding is an agent that holds a commit until it is let go.
type holding struct {
	t      *testing.T
	server *httptest.Server
	answer *http.Response
	commit agent.Commit
}

func hold(t *testing.T, c *committing, operators config.Config) *holding {
	t.Helper()
	s := server.New(t.Context(), c, server.Options{Version: "1.0", State: t.TempDir()}, operators, agenttest.Quiet())
	h := &holding{t: t, server: httptest.NewServer(s.Handler())}
	t.Cleanup(h.letGo)
	answer, err := http.Post(h.server.URL+agenttest.ServerPath+"/commit", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	h.answer = answer
	if err := json.NewDecoder(answer.Body).Decode(&h.commit); err != nil || answer.StatusCode != 200 {
		t.Fatalf("got %d, %v", answer.StatusCode, err)
	}
	return h
}

// letGo returns when the agent has ended what it does.
func (h *holding) letGo() {
	if h.answer != nil {
		h.answer.Body.Close()
	}
	h.server.Close()
}

func (h *holding) ask(method, path, body string) (int, []byte, error) {
	h.t.Helper()
	answer, content, err := h.request(method, path, body)
	if answer == nil {
		return 0, content, err
	}
	return answer.StatusCode, content, err
}

func (h *holding) request(method, path, body string) (*http.Response, []byte, error) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), method, h.server.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	return answer, content, err
}

func (h *holding) layer(diffID digest.Digest) (int, []byte, error) {
	h.t.Helper()
	return h.ask("GET", "/v1/commits/"+h.commit.ID+"/layers/"+string(diffID), "")
}

// archive asks for one whose layers are stored like this.
func (h *holding) archive(layers ...agent.StoredLayer) (int, []byte) {
	h.t.Helper()
	status, body, err := h.ask("POST", "/v1/commits/"+h.commit.ID+"/archive", marshal(h.t, agent.StoredLayers{Layers: layers}))
	if err != nil {
		h.t.Error(err)
	}
	return status, body
}

// inside is a layer that the archive has.
func inside(one agent.CommitLayer) agent.StoredLayer {
	return agent.StoredLayer{DiffID: one.DiffID, Digest: one.DiffID, Size: one.Size}
}

func TestACommitThatIsHeld(t *testing.T) {
	c := newCommitting(t)
	h := hold(t, c, config.Default())
	want := agent.Commit{
		Image: agent.Image{ID: c.id, Architecture: docker.GlanceArchitecture(runtime.GOARCH), Size: 4096},
		Layers: []agent.CommitLayer{
			{DiffID: string(c.diffIDs[0]), Size: int64(len(c.tars[0])), Unpacked: 3_000_000, Stored: []agent.StoredForm{}},
			{DiffID: string(c.diffIDs[1]), Size: int64(len(c.tars[1])), Unpacked: 5, Stored: []agent.StoredForm{}},
		},
	}
	if !reflect.DeepEqual(h.commit, want) {
		t.Errorf("got %+v, want %+v", h.commit, want)
	}
	for n, diffID := range c.diffIDs {
		if status, got, err := h.layer(diffID); status != 200 || err != nil || !bytes.Equal(got, c.tars[n]) {
			t.Errorf("layer %d: got %d, %d bytes, %v", n+1, status, len(got), err)
		}
	}
	status, got, err := h.ask("GET", "/v1/commits/"+c.id+"/archive", "")
	if status != 200 || err != nil || string(got) != "the whole archive" {
		t.Errorf("whole: got %d %q, %v", status, got, err)
	}
	if !slices.Contains(c.Called(), "ContainerCommit pause=true") {
		t.Errorf("the container is not paused for the commit: %q", c.Called())
	}
	if h.letGo(); len(c.Images) > 0 {
		t.Errorf("images %v stay behind", c.Images)
	}
}

// layerOf is the archive.LayerSource of one layer.
type layerOf []byte

func (l layerOf) Has(archive.LeftOut) (archive.LayerSize, bool) { return archive.LayerSize{}, false }

func (l layerOf) Open(archive.LeftOut) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l)), nil
}

func TestAnArchiveOfACommit(t *testing.T) {
	c := newCommitting(t)
	h := hold(t, c, config.Default())
	large, small := inside(h.commit.Layers[0]), inside(h.commit.Layers[1])
	status, whole := h.archive(large, small)
	if found, err := archive.Load(io.Discard, bytes.NewReader(whole), archive.Options{Limits: &archive.Limits{Unpacked: 1 << 30}}); status != 200 || err != nil || found.ID != c.id {
		t.Errorf("with all layers: got %d, %s, %v", status, found.ID, err)
	}
	large.Image, large.MediaType = enginetest.ImageID, "application/vnd.oci.image.layer.v1.tar"
	status, body := h.archive(large, small)
	found, err := archive.Load(io.Discard, bytes.NewReader(body), archive.Options{Limits: &archive.Limits{Unpacked: 1 << 30}, Layers: layerOf(c.tars[0])})
	if status != 200 || err != nil || found.ID != c.id || len(body) > 30_000 {
		t.Errorf("without the large one: got %d, %s, %d bytes, %v", status, found.ID, len(body), err)
	}
	var left *archive.LayersLeftOut
	if _, err := archive.Load(io.Discard, bytes.NewReader(body), archive.Options{}); !errors.As(err, &left) || len(left.Layers) != 1 || left.Layers[0].Image != enginetest.ImageID {
		t.Errorf("got %v", err)
	}
}

// TestTheDigestOfACommit is that of the manifest in the archive, by which registries know the image.
func TestTheDigestOfACommit(t *testing.T) {
	h := hold(t, newCommitting(t), config.Default())
	layers := agent.StoredLayers{Layers: []agent.StoredLayer{inside(h.commit.Layers[0]), inside(h.commit.Layers[1])}}
	answer, body, err := h.request("POST", "/v1/commits/"+h.commit.ID+"/archive", marshal(t, layers))
	if err != nil {
		t.Fatal(err)
	}
	found, err := archive.Load(io.Discard, bytes.NewReader(body), archive.Options{})
	if got := answer.Header.Get("Ndock-Image-Digest"); err != nil || got != string(digest.FromBytes(found.Manifest)) {
		t.Errorf("got %q, and the archive has %s (%v)", got, found.Manifest, err)
	}
}

// TestALayerThatIsStoredCompressed is named by what it is stored as.
func TestALayerThatIsStoredCompressed(t *testing.T) {
	h := hold(t, newCommitting(t), config.Default())
	packed := agent.StoredLayer{
		DiffID: h.commit.Layers[0].DiffID, Digest: string(digest.FromString("packed")), Size: 6,
		MediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip", Image: enginetest.ImageID,
	}
	status, body := h.archive(packed, inside(h.commit.Layers[1]))
	if status != 200 || !bytes.Contains(body, []byte(packed.Digest)) || !bytes.Contains(body, []byte("application/vnd.oci.image.layer.v1.tar+gzip")) {
		t.Errorf("got %d, %d bytes", status, len(body))
	}
}

func TestArchivesThatCannotBe(t *testing.T) {
	c := newCommitting(t)
	h := hold(t, c, config.Default())
	large, small := inside(h.commit.Layers[0]), inside(h.commit.Layers[1])
	change := func(do func(one *agent.StoredLayer)) []agent.StoredLayer {
		changed := large
		do(&changed)
		return []agent.StoredLayer{changed, small}
	}
	other := string(digest.FromString("other"))
	for name, layers := range map[string][]agent.StoredLayer{
		"none":                     nil,
		"one too few":              {large},
		"one too many":             {large, small, small},
		"another order":            {small, large},
		"another layer":            change(func(one *agent.StoredLayer) { one.DiffID = other }),
		"another digest inside":    change(func(one *agent.StoredLayer) { one.Digest = other }),
		"another size inside":      change(func(one *agent.StoredLayer) { one.Size++ }),
		"another size of the tar":  change(func(one *agent.StoredLayer) { one.Size, one.Image = 1, enginetest.ImageID }),
		"no size":                  change(func(one *agent.StoredLayer) { one.Size, one.Digest, one.Image = 0, other, enginetest.ImageID }),
		"what is no digest":        change(func(one *agent.StoredLayer) { one.Digest, one.Image = "../../x", enginetest.ImageID }),
		"a digest of another kind": change(func(one *agent.StoredLayer) { one.Digest, one.Image = "md5:abc", enginetest.ImageID }),
		"the small one's digest":   change(func(one *agent.StoredLayer) { one.Digest = small.Digest }),
	} {
		if status, body := h.archive(layers...); status != 400 && status != 422 {
			t.Errorf("%s: got %d, %.200s", name, status, body)
		}
	}
}

// TestNobodyReadsAnotherImage by these routes: only what was made for it, and as long as it is held.
func TestNobodyReadsAnotherImage(t *testing.T) {
	c := newCommitting(t)
	secret := enginetest.Tar("secret", "secret")
	others := c.files.Put(c.tars[0], secret)
	c.Images["sha256:secret"] = image.InspectResponse{ID: "sha256:secret", RootFS: image.RootFS{Layers: []string{string(others[0]), string(others[1])}}}
	c.ArchiveOf["sha256:secret"] = func(context.Context) io.Reader { return bytes.NewReader(secret) }
	h := hold(t, c, config.Default())
	for _, path := range []string{
		"/v1/commits/sha256:secret/archive", "/v1/commits/sha256:secret/layers/" + string(others[0]), "/v1/commits/" + c.id + "/layers/" + string(others[1]),
		"/v1/commits/" + c.id + "/layers/..%2f..%2fetc%2fpasswd", "/v1/commits/" + c.id + "/layers/sha256:", "/v1/commits/%2e%2e/archive",
		"/v1/commits/" + strings.TrimPrefix(c.id, "sha256:") + "/archive", "/v1/commits/" + c.id[:20] + "/archive",
	} {
		status, body, _ := h.ask("GET", path, "")
		agenttest.WantFault(t, status, string(body), 400, agent.BadRequest)
	}
	h.letGo()
	status, body := ask(t, c, "GET", "/v1/commits/"+c.id+"/archive", "") // of an agent that holds none
	agenttest.WantFault(t, status, body, 400, agent.BadRequest)
	if _, there := c.Images["sha256:secret"]; !there || len(c.Images) != 1 {
		t.Errorf("left are %v", c.Images)
	}
}

// TestLayersThatCannotBeHad: the whole image can, and nothing is refused.
func TestLayersThatCannotBeHad(t *testing.T) {
	for name, change := range map[string]func(c *committing, operators *config.Config){
		"another storage driver": func(c *committing, _ *config.Config) { c.SystemInfo.Driver = "btrfs" },
		"the operator's word":    func(_ *committing, operators *config.Config) { operators.WholeSnapshots = true },
		"no files":               func(c *committing, _ *config.Config) { c.SystemInfo.DockerRootDir = "/" },
		"damaged records": func(c *committing, _ *config.Config) {
			if err := os.WriteFile(filepath.Join(c.files.Records(c.diffIDs), "cache-id"), []byte("../../etc"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, operators := newCommitting(t), config.Default()
			change(c, &operators)
			h := hold(t, c, operators)
			if h.commit.ID != c.id || len(h.commit.Layers) > 0 {
				t.Errorf("got %+v", h.commit)
			}
			status, body, _ := h.layer(c.diffIDs[0])
			agenttest.WantFault(t, status, string(body), 400, agent.BadRequest)
			status, body = h.archive()
			agenttest.WantFault(t, status, string(body), 400, agent.BadRequest)
			if status, got, err := h.ask("GET", "/v1/commits/"+c.id+"/archive", ""); status != 200 || err != nil || string(got) != "the whole archive" {
				t.Errorf("whole: got %d %q, %v", status, got, err)
			}
		})
	}
}

// TestADamagedLayer breaks off: who reads it never has it whole, by itself or in an archive.
func TestADamagedLayer(t *testing.T) {
	c := newCommitting(t)
	h := hold(t, c, config.Default())
	file := filepath.Join(c.files.Diff(c.diffIDs[:1]), "large")
	if err := os.WriteFile(file, bytes.Repeat([]byte("other"), 600_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.layer(c.diffIDs[0]); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the layer: got %v", err)
	}
	body := marshal(t, agent.StoredLayers{Layers: []agent.StoredLayer{inside(h.commit.Layers[0]), inside(h.commit.Layers[1])}})
	if _, _, err := h.ask("POST", "/v1/commits/"+c.id+"/archive", body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the archive: got %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.layer(c.diffIDs[0]); !errors.Is(err, io.EOF) { // nothing was sent yet
		t.Errorf("without its file: got %v", err)
	}
}

// TestAReaderWhoStaysBehind: what he reads ends when the commit is let go.
func TestAReaderWhoStaysBehind(t *testing.T) {
	c := newCommitting(t)
	snapshots := newInstances(c, instance.Options{State: t.TempDir()}).Snapshots
	ctx, letGo := context.WithCancel(t.Context())
	held, over := make(chan agent.Commit), make(chan error)
	go func() {
		over <- snapshots.Hold(ctx, enginetest.ServerID, func(commit agent.Commit) error { held <- commit; return nil })
	}()
	commit := <-held
	from, to := io.Pipe()
	read := make(chan error)
	go func() { read <- snapshots.Layer(t.Context(), commit.ID, commit.Layers[0].DiffID, to) }()
	if _, err := io.ReadFull(from, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	letGo()
	if err := <-over; err != nil {
		t.Error(err)
	}
	go func() { _, _ = io.Copy(io.Discard, from) }()
	if err := <-read; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestACommitThatFails(t *testing.T) {
	for _, method := range []string{"ContainerCommit", "ImageInspect", "Info"} {
		c := newCommitting(t)
		c.Fail[method] = enginetest.ErrAway
		status, body := ask(t, c, "POST", agenttest.ServerPath+"/commit", "")
		if agenttest.WantFault(t, status, body, 500, agent.Failed); method == "Info" && len(c.Images) > 0 {
			t.Errorf("%s fails: images %v stay behind", method, c.Images)
		}
	}
	status, body := ask(t, enginetest.New(), "POST", agenttest.ServerPath+"/commit", "")
	agenttest.WantFault(t, status, body, 404, agent.NoSuchInstance)
}

// TestWhatAHostKnowsOfALayer is said of it, for Glance may have it as something else than a tar.
func TestWhatAHostKnowsOfALayer(t *testing.T) {
	c, state := newCommitting(t), t.TempDir()
	sum := strings.Repeat("ab", 64)
	text := fmt.Sprintf(`{"checksum":%q,"digest":"sha256:packed","diff_id":%q}`, sum, c.diffIDs[0])
	dir := filepath.Join(filepath.Dir(state), "layers")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, sum[:64]), []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "nonsense"), []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	s := server.New(t.Context(), c, server.Options{Version: "1.0", State: state}, config.Default(), agenttest.Quiet())
	ctx, cancel := context.WithCancel(t.Context())
	w := &firstLine{ResponseRecorder: httptest.NewRecorder(), then: cancel}
	s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", agenttest.ServerPath+"/commit", nil))
	var commit agent.Commit
	if err := json.Unmarshal(w.Body.Bytes(), &commit); err != nil {
		t.Fatal(err)
	}
	if want := []agent.StoredForm{{Digest: "sha256:packed", Checksum: sum}}; !reflect.DeepEqual(commit.Layers[0].Stored, want) || len(commit.Layers[1].Stored) > 0 {
		t.Errorf("got %+v", commit.Layers)
	}
}

// firstLine is a caller who leaves when he has the first line of the answer.
type firstLine struct {
	*httptest.ResponseRecorder
	then func()
}

func (f *firstLine) Write(p []byte) (int, error) {
	defer f.then()
	return f.ResponseRecorder.Write(p)
}
