// Package fakeengine is a Docker Engine for tests, with a few images that can be inspected and saved, well or badly.
package fakeengine

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
)

// The images. One is as in containerd's image store, where the id is a manifest's. Saving the last two breaks off in the
// middle, or stays there until the client leaves.
const (
	Good    = "tiny:1"
	Stored  = "stored:1"
	Cut     = "cut:1"
	Endless = "endless:1"
)

// IDs are the images', by name.
var IDs = map[string]string{
	Good:    "sha256:" + strings.Repeat("0123456789abcde1", 4),
	Cut:     "sha256:" + strings.Repeat("0123456789abcde2", 4),
	Endless: "sha256:" + strings.Repeat("0123456789abcde3", 4),
	Stored:  "sha256:" + strings.Repeat("0123456789abcde4", 4),
}

// Engine is a running fake.
type Engine struct {
	Host   string // for DOCKER_HOST
	server *httptest.Server
}

// New starts one.
func New() *Engine {
	server := httptest.NewServer(http.HandlerFunc(serve))
	return &Engine{Host: "tcp://" + server.Listener.Addr().String(), server: server}
}

// Close ends it.
func (e *Engine) Close() {
	e.server.CloseClientConnections()
	e.server.Close()
}

// Archive is what saving the good image gives.
func Archive() []byte {
	layer := pack([]file{{"hello", strings.Repeat("layer", 2000)}})
	sum := sha256.Sum256(layer)
	return pack([]file{
		{"layer.tar", string(layer)},
		{"config.json", fmt.Sprintf(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%x"]}}`, sum)},
		{"manifest.json", `[{"Config":"config.json","RepoTags":["tiny:1"],"Layers":["layer.tar"]}]`},
	})
}

type file struct{ name, content string }

func pack(files []file) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, file := range files {
		// A buffer takes everything.
		_ = w.WriteHeader(&tar.Header{Name: file.name, Mode: 0o644, Size: int64(len(file.content))})
		_, _ = w.Write([]byte(file.content))
	}
	_ = w.Close()
	return b.Bytes()
}

func serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/") // without the API's version
	switch name, inspected := strings.CutSuffix(strings.TrimPrefix(path, "images/"), "/json"); {
	case r.URL.Path == "/_ping":
	case inspected:
		inspect(w, name)
	case path == "images/get":
		save(w, r)
	case path == "images/load":
		load(w, r)
	case strings.HasSuffix(path, "/tag"):
		w.WriteHeader(http.StatusCreated)
	default:
		http.NotFound(w, r)
	}
}

func inspect(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Type", "application/json")
	if IDs[name] == "" {
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": "no such image: " + name + ": No such image: " + name})
		return
	}
	found := map[string]any{"Id": IDs[name], "RepoTags": []string{name}, "Architecture": "amd64", "Os": "linux", "Size": 1500 << 20}
	if name == Stored {
		found["RepoDigests"] = []string{"stored@" + IDs[Stored]}
	}
	_ = json.NewEncoder(w).Encode(found)
}

// load takes anything, whole.
func load(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"stream": "Loaded image ID: " + IDs[Good] + "\n"})
}

func save(w http.ResponseWriter, r *http.Request) {
	content := Archive()
	switch r.URL.Query().Get("names") {
	case IDs[Good], IDs[Stored]:
		_, _ = w.Write(content)
		return
	case IDs[Cut], IDs[Endless]:
		_, _ = w.Write(content[:len(content)/2])
	}
	http.NewResponseController(w).Flush()
	if r.URL.Query().Get("names") == IDs[Endless] {
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler) // ends the connection where it is
}
