package enginetest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"

	"github.com/docker/docker/api/types/image"
)

// The images of an engine that has some. One is as in containerd's image store, where the id is a manifest's. Saving the last
// two breaks off in the middle, or stays there until the client leaves.
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

// NewWithImages returns an engine with a few images that can be saved, well or badly. What it loads is the good one.
func NewWithImages() *Engine {
	e := New()
	for name, id := range IDs {
		e.Images[id] = image.InspectResponse{ID: id, RepoTags: []string{name}, Architecture: "amd64", Os: "linux", Size: 1500 << 20}
		e.ArchiveOf[id] = whole
	}
	stored := e.Images[IDs[Stored]]
	stored.RepoDigests = []string{"stored@" + stored.ID}
	e.Images[stored.ID] = stored
	e.ArchiveOf[IDs[Cut]], e.ArchiveOf[IDs[Endless]] = cut, endless
	e.Account = func(archive io.Reader) string { return readWhole(archive, IDs[Good]) }
	return e
}

func whole(context.Context) io.Reader { return bytes.NewReader(Archive()) }

func half() io.Reader {
	content := Archive()
	return bytes.NewReader(content[:len(content)/2])
}

func cut(context.Context) io.Reader { return io.MultiReader(half(), failing{}) }

func endless(ctx context.Context) io.Reader {
	return io.MultiReader(half(), failing{after: ctx.Done()})
}

// failing is a reader that fails, at once or after something.
type failing struct{ after <-chan struct{} }

func (f failing) Read([]byte) (int, error) {
	if f.after != nil {
		<-f.after
	}
	return 0, io.ErrUnexpectedEOF
}

// Archive is what saving the good image gives.
func Archive() []byte {
	layer := Tar("hello", strings.Repeat("layer", 2000))
	sum := sha256.Sum256(layer)
	return Tar(
		"layer.tar", string(layer),
		"config.json", fmt.Sprintf(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%x"]}}`, sum),
		"manifest.json", `[{"Config":"config.json","RepoTags":["tiny:1"],"Layers":["layer.tar"]}]`,
	)
}

// Tar makes a tar of programs or other files, each a name and its content.
func Tar(files ...string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		// A buffer takes everything.
		_ = w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o755, Size: int64(len(files[i+1]))})
		_, _ = io.WriteString(w, files[i+1])
	}
	_ = w.Close()
	return b.Bytes()
}
