package imagecache_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/agent/diskspace"
	"ndock/docker/agent/imagecache"
	"ndock/docker/agent/naming"
	"ndock/docker/agent/server"
	"ndock/docker/archive"
	"ndock/docker/engine/enginetest"
)

// layered is an image whose layers are Glance images of their own.
type layered struct {
	archive string
	layers  []string // as they are stored, lowest first
}

// layeredOf is an image of layers with one file each, which have these contents.
func layeredOf(t *testing.T, contents ...string) layered {
	t.Helper()
	image, composed := composedOf(t, "amd64", contents...)
	var packed bytes.Buffer
	if err := archive.Compose(&packed, composed); err != nil {
		t.Fatal(err)
	}
	image.archive = packed.String()
	return image
}

// composedOf is such an image for an architecture, without its archive, and what the archive is made of.
func composedOf(t *testing.T, architecture string, contents ...string) (layered, archive.Composed) {
	t.Helper()
	image := layered{}
	var composed archive.Composed
	var ids, described []string
	for n, content := range contents {
		layer := agenttest.Tar("file", content)
		name := digest.FromString(layer)
		image.layers = append(image.layers, layer)
		ids = append(ids, `"`+string(name)+`"`)
		described = append(described, fmt.Sprintf(`{"digest":%q,"size":%d}`, name, len(layer)))
		composed.Layers = append(composed.Layers, archive.StoredLayer{Digest: name, DiffID: name, Size: int64(len(layer)), Image: fmt.Sprintf("image-%d", n+1)})
	}
	composed.Config = []byte(strings.NewReplacer("[]", "["+strings.Join(ids, ",")+"]", "amd64", architecture).Replace(agenttest.ImageConfig))
	composed.Manifest = fmt.Appendf(nil, `{"schemaVersion":2,"config":{"digest":%q,"size":%d},"layers":[%s]}`, digest.FromBytes(composed.Config), len(composed.Config), strings.Join(described, ","))
	return image, composed
}

// diffIDs are also the digests of the layers, which are not compressed.
func (l layered) diffIDs() []digest.Digest {
	var all []digest.Digest
	for _, layer := range l.layers {
		all = append(all, digest.FromString(layer))
	}
	return all
}

// list is what is known of the layers, with the checksums that Glance computes of them.
func (l layered) list() agent.LeftOutLayers {
	var list agent.LeftOutLayers
	for n, chain := range identity.ChainIDs(l.diffIDs()) {
		id := string(l.diffIDs()[n])
		list.Layers = append(list.Layers, agent.LeftOutLayer{
			Digest: id, DiffID: id, ChainID: string(chain), Size: int64(len(l.layers[n])), Image: fmt.Sprintf("image-%d", n+1),
			Checksum: fmt.Sprintf("%x", sha512.Sum512([]byte(l.layers[n]))),
		})
	}
	return list
}

// body is a request that sends the image with these layers; 1 is the lowest.
func (l layered) body(t *testing.T, numbers ...int) (kind, body string) {
	t.Helper()
	list, err := json.Marshal(l.list())
	if err != nil {
		t.Fatal(err)
	}
	parts := []string{"layers", string(list), "archive", l.archive}
	for _, n := range numbers {
		parts = append(parts, string(digest.FromString(l.layers[n-1])), l.layers[n-1])
	}
	return multipartOf(t, parts...)
}

// multipartOf is a body of parts, each a name and its content.
func multipartOf(t *testing.T, parts ...string) (kind, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		if err := w.WriteField(parts[i], parts[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.String()
}

// host is an agent whose engine keeps what it was sent.
type host struct {
	*enginetest.Engine
	t       *testing.T
	handler http.Handler
	state   string
	sent    map[string]string // the entries of the last archive
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{Engine: enginetest.New(), t: t, state: t.TempDir()}
	h.Account = func(packed io.Reader) string { h.sent = entries(t, packed); return enginetest.ReadWhole(packed) }
	h.handler = server.New(t.Context(), h.Engine, server.Options{Version: "1.0", State: filepath.Join(h.state, "servers")}, config.Default(), agenttest.Quiet()).Handler()
	return h
}

// entries reads as much of an archive as comes.
func entries(t *testing.T, packed io.Reader) map[string]string {
	t.Helper()
	found := map[string]string{}
	for in := tar.NewReader(packed); ; {
		header, err := in.Next()
		if err != nil {
			return found
		}
		content, err := io.ReadAll(in)
		if err != nil {
			return found
		}
		found[header.Name] = string(content)
	}
}

func (h *host) put(kind, body string) (int, string) {
	h.t.Helper()
	w := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(h.t.Context(), "PUT", imagePath, strings.NewReader(body))
	request.Header.Set("Content-Type", kind)
	h.handler.ServeHTTP(w, request)
	return w.Code, w.Body.String()
}

// needs is what the host answers that it needs of a list, by place; 1 is the lowest.
func (h *host) needs(list agent.LeftOutLayers) []int {
	h.t.Helper()
	asked, err := json.Marshal(list)
	if err != nil {
		h.t.Fatal(err)
	}
	status, body := agenttest.Ask(h.t, h.handler, "POST", imagePath+"/layers", string(asked))
	var answer agent.NeededLayers
	if err := json.Unmarshal([]byte(body), &answer); status != 200 || err != nil {
		h.t.Fatalf("got %d %s", status, body)
	}
	var numbers []int
	for n, one := range list.Layers {
		if slices.Contains(answer.Needed, one.Digest) {
			numbers = append(numbers, n+1)
		}
	}
	return numbers
}

// hadID is an image that the engine has.
const (
	hadID  = "sha256:abababababababababababababababababababababababababababababababab"
	hadTag = "0ddba111-1111-4222-8333-444455556666"
)

// has gives the engine an image with these layers and no other, as if it had been loaded.
func (h *host) has(of layered) {
	id := hadID
	found := image.InspectResponse{ID: id, Os: "linux", Architecture: "amd64", RootFS: image.RootFS{Type: "layers"}}
	for _, layer := range of.diffIDs() {
		found.RootFS.Layers = append(found.RootFS.Layers, string(layer))
	}
	h.Images = map[string]image.InspectResponse{id: found, naming.ImageTag(hadTag): found}
}

// sentLayers are the layers in the last archive, of those that an image has; 1 is the lowest.
func (h *host) sentLayers(of layered) []int {
	var numbers []int
	for n, layer := range of.layers {
		for _, content := range h.sent {
			if content == layer {
				numbers = append(numbers, n+1)
			}
		}
	}
	return numbers
}

// loaded sends an image with all its layers, and has the engine keep it.
func (h *host) loaded(of layered) {
	h.t.Helper()
	all := make([]int, len(of.layers))
	for n := range all {
		all[n] = n + 1
	}
	status, body := h.put(of.body(h.t, all...))
	agenttest.WantOK(h.t, status, body)
	if got := h.sentLayers(of); !slices.Equal(got, all) {
		h.t.Fatalf("the engine was sent layers %v of %v", got, all)
	}
	h.has(of)
	if needed := h.needs(of.list()); needed != nil {
		h.t.Fatalf("it needs %v of what it has", needed)
	}
}

// TestLayersAreAskedFor: the caller of an archive that leaves layers out hears which.
func TestLayersAreAskedFor(t *testing.T) {
	h, of := newHost(t), layeredOf(t, "one", "two")
	status, body := h.put("application/x-tar", of.archive)
	agenttest.WantFault(t, status, body, 409, agent.LayersLeftOut)
	var fault agent.Fault
	want := of.list().Layers
	for n := range want {
		want[n].Checksum = "" // which only Glance knows
	}
	if err := json.Unmarshal([]byte(body), &fault); err != nil || !slices.Equal(fault.Layers, want) {
		t.Errorf("got %v, %s, want the layers %v", err, body, want)
	}
	if len(h.Images) > 0 {
		t.Errorf("became the images %v", h.Images)
	}
}

// TestOnlyMissingLayersAreSent: a host that has read a layer, and has it, needs it no more.
func TestOnlyMissingLayersAreSent(t *testing.T) {
	h := newHost(t)
	first, second := layeredOf(t, "one", "two"), layeredOf(t, "one", "two", "three")
	if got := h.needs(first.list()); !slices.Equal(got, []int{1, 2}) {
		t.Fatalf("a new host needs %v", got)
	}
	h.loaded(first)
	if got := h.needs(second.list()); !slices.Equal(got, []int{3}) {
		t.Fatalf("it needs %v", got)
	}
	for _, sent := range [][]int{{3}, {1, 2, 3}, {2, 3}} {
		status, body := h.put(second.body(t, sent...))
		agenttest.WantOK(t, status, body)
		if got := h.sentLayers(second); !slices.Equal(got, []int{3}) {
			t.Errorf("sent %v: the engine was sent %v", sent, got)
		}
		delete(h.Images, naming.ImageTag(enginetest.ImageID))
	}
	h.Images = map[string]image.InspectResponse{}
	if got := h.needs(second.list()); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("without the image it needs %v", got)
	}
}

// TestLayersThatAreNotProven: the engine has the layers, and they are sent all the same unless Glance has computed the checksum of
// bytes that this host knows.
func TestLayersThatAreNotProven(t *testing.T) {
	h, of := newHost(t), layeredOf(t, "the victim's", "secret")
	h.loaded(of)
	other := fmt.Sprintf("%x", sha512.Sum512([]byte("the enemy's")))
	for name, change := range map[string]func(*agent.LeftOutLayer){
		"no checksum":         func(l *agent.LeftOutLayer) { l.Checksum = "" },
		"another checksum":    func(l *agent.LeftOutLayer) { l.Checksum = other },
		"another hash":        func(l *agent.LeftOutLayer) { l.Checksum = strings.TrimPrefix(l.Digest, "sha256:") },
		"in capitals":         func(l *agent.LeftOutLayer) { l.Checksum = strings.ToUpper(l.Checksum) },
		"a path":              func(l *agent.LeftOutLayer) { l.Checksum = "../" + l.Checksum[:125] },
		"another's digest":    func(l *agent.LeftOutLayer) { l.Digest = string(digest.FromString("the enemy's")) },
		"another's diff id":   func(l *agent.LeftOutLayer) { l.DiffID = string(digest.FromString("the enemy's")) },
		"a chain that is not": func(l *agent.LeftOutLayer) { l.ChainID = l.Checksum },
	} {
		list := of.list()
		change(&list.Layers[0])
		change(&list.Layers[1])
		if got := h.needs(list); !slices.Equal(got, []int{1, 2}) {
			t.Errorf("%s: it needs %v", name, got)
		}
	}
}

// TestAnArchiveThatNamesLayersOfOthers: Glance's checksum is of the enemy's own bytes, whatever his archive says of them.
func TestAnArchiveThatNamesLayersOfOthers(t *testing.T) {
	h, victims := newHost(t), layeredOf(t, "the victim's", "secret")
	h.loaded(victims)
	hostile := victims
	hostile.layers = []string{agenttest.Tar("file", "anything"), agenttest.Tar("file", "else")}
	list := victims.list() // the names are the victim's, and the checksums those of what the enemy has stored
	for n := range list.Layers {
		list.Layers[n].Checksum = hostile.list().Layers[n].Checksum
	}
	if got := h.needs(list); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("it needs %v", got)
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		parts  []string
		status int
		code   string
	}{
		"nothing sent":    {nil, 409, agent.LayersLeftOut},
		"his own as them": {[]string{list.Layers[0].Digest, hostile.layers[0], list.Layers[1].Digest, hostile.layers[1]}, 422, agent.UnusableImage},
		"empty":           {[]string{list.Layers[0].Digest, "", list.Layers[1].Digest, ""}, 422, agent.UnusableImage},
	} {
		before := len(h.Images)
		status, body := h.put(multipartOf(t, append([]string{"layers", string(text), "archive", hostile.archive}, c.parts...)...))
		if agenttest.WantFault(t, status, body, c.status, c.code); len(h.Images) != before {
			t.Errorf("%s: became the images %v", name, h.Images)
		}
	}
}

// TestContainerdsStore: such an engine finds no layer by its chain id, so it is sent all of them.
func TestContainerdsStore(t *testing.T) {
	h, of := newHost(t), layeredOf(t, "one", "two")
	h.loaded(of)
	h.SystemInfo.DriverStatus = [][2]string{{"driver-type", "io.containerd.snapshotter.v1"}}
	if got := h.needs(of.list()); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("it needs %v", got)
	}
}

// TestLayersThatAreGoneMeanwhile: where Docker lacks what it had a moment ago, the caller hears that layers are to be sent.
func TestLayersThatAreGoneMeanwhile(t *testing.T) {
	h, of := newHost(t), layeredOf(t, "one", "two")
	h.loaded(of)
	h.Account = func(packed io.Reader) string {
		_, _ = io.Copy(io.Discard, packed)
		return `{"error":"open /var/lib/docker/tmp/layer.tar: no such file or directory"}`
	}
	status, body := h.put(of.body(t))
	agenttest.WantFault(t, status, body, 409, agent.LayersLeftOut)
	status, body = h.put(of.body(t, 1, 2)) // it is not told so where it was sent everything, but for what it has
	agenttest.WantFault(t, status, body, 409, agent.LayersLeftOut)
}

// TestSentLayersThatBreakOff: a request that does not end properly is no image, wherever it ends.
func TestSentLayersThatBreakOff(t *testing.T) {
	of := layeredOf(t, "one", "two")
	kind, whole := of.body(t, 1, 2)
	for at := 0; at < len(whole); at += max(1, len(whole)/97) {
		h := newHost(t)
		if status, body := h.put(kind, whole[:at]); status < 400 || len(h.Images) > 0 {
			t.Errorf("cut off after %d of %d bytes: got %d %s and the images %v", at, len(whole), status, body, h.Images)
		}
	}
	h := newHost(t)
	body := io.MultiReader(strings.NewReader(whole[:len(whole)-4]), agenttest.Broken{Err: errors.New("gone")})
	w := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), "PUT", imagePath, body)
	request.Header.Set("Content-Type", kind)
	if h.handler.ServeHTTP(w, request); w.Code < 400 || len(h.Images) > 0 {
		t.Errorf("without its last bytes: got %d %s and the images %v", w.Code, w.Body, h.Images)
	}
}

func TestBadPartsOfAnImage(t *testing.T) {
	of := layeredOf(t, "one")
	for name, parts := range map[string][]string{
		"no parts":     nil,
		"no list":      {"archive", of.archive},
		"no archive":   {"layers", `{}`},
		"a bad list":   {"layers", `{"layers":1}`, "archive", of.archive},
		"another part": {"layers", `{}`, "other", of.archive},
	} {
		h := newHost(t)
		kind, body := multipartOf(t, parts...)
		status, answer := h.put(kind, body)
		if agenttest.WantFault(t, status, answer, 400, agent.BadRequest); len(h.Called()) > 0 {
			t.Errorf("%s: the engine was asked for %v", name, h.Called())
		}
	}
	status, answer := newHost(t).put("multipart/form-data", of.archive)
	agenttest.WantFault(t, status, answer, 400, agent.BadRequest)
}

// TestFactsAreBounded: what a host has once read does not fill its disk.
func TestFactsAreBounded(t *testing.T) {
	h, of := newHost(t), layeredOf(t, "one")
	dir := filepath.Join(h.state, "layers")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for n := range 4096 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.loaded(of)
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("there are %d, %v", len(all), err)
	}
	if got := h.needs(of.list()); got != nil {
		t.Errorf("it needs %v", got)
	}
}

// TestStoredForms are what this host knows of a layer, and not all that a tenant has made of it.
func TestStoredForms(t *testing.T) {
	dir := t.TempDir()
	write := func(n int, diffID string) (form agent.StoredForm) {
		form = agent.StoredForm{Digest: fmt.Sprintf("sha256:%d", n), Checksum: fmt.Sprintf("%0128x", n+1<<62)}
		form.Checksum = form.Checksum[64:] + form.Checksum[:64]
		text := fmt.Sprintf(`{"checksum":%q,"digest":%q,"diff_id":%q}`, form.Checksum, form.Digest, diffID)
		if err := os.WriteFile(filepath.Join(dir, form.Checksum[:64]), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return form
	}
	one := write(0, "sha256:one")
	for n := range 100 {
		write(n+1, "sha256:many")
	}
	for name, text := range map[string]string{"nonsense": "{", "without-a-checksum": `{"diff_id":"sha256:one","digest":"sha256:x"}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	forms := imagecache.New(enginetest.New(), dir, config.Default(), diskspace.New(1<<30), agenttest.Quiet()).StoredForms()
	if got := forms["sha256:one"]; len(got) != 1 || got[0] != one || len(forms["sha256:many"]) != 8 || len(forms) != 2 {
		t.Errorf("got %v", forms)
	}
	if forms := imagecache.New(enginetest.New(), filepath.Join(dir, "none"), config.Default(), diskspace.New(1<<30), agenttest.Quiet()).StoredForms(); len(forms) > 0 {
		t.Errorf("got %v", forms)
	}
}
