package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layoutOf returns a layout with one image, and the paths of its configuration, layer and manifest.
func layoutOf(t *testing.T) (dir string, blobs map[string]string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "layout")
	path, err := openLayout(dir)
	image := imageOf(t, "amd64", gzipped(t, "hello"))
	if err := errors.Join(err, path.AppendImage(image)); err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	digest, failed := image.Digest()
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	blobs = map[string]string{}
	for name, digest := range map[string]v1.Hash{"configuration": manifest.Config.Digest, "layer": manifest.Layers[0].Digest, "manifest": digest} {
		blobs[name] = filepath.Join(dir, "blobs", "sha256", digest.Hex)
	}
	return dir, blobs
}

// TestLinkOutOfALayout: the target of a link in a layout is not sent unless it is the image's blob.
func TestLinkOutOfALayout(t *testing.T) {
	t.Parallel()
	for _, named := range []bool{false, true} {
		dir, blobs := layoutOf(t)
		secret := filepath.Join(t.TempDir(), "id_rsa")
		write(t, secret, []byte("TOPSECRET"+strings.Repeat("\n0123456789abcdef", 100)))
		link := filepath.Join(filepath.Dir(blobs["layer"]), "zz")
		if named {
			link = blobs["layer"]
			write(t, secret, []byte("TOPSECRET"))
		}
		if err := errors.Join(os.RemoveAll(link), os.Symlink(secret, link)); err != nil {
			t.Fatal(err)
		}
		sent := &sentBodies{}
		out := filepath.Join(t.TempDir(), "out")
		for _, to := range []string{"docker-archive:" + out + ".tar", "oci-archive:" + out + ".oci.tar", "docker://" + newRegistry(t, sent.watch) + "/site/web:1"} {
			err := copyTo(t, newTransports(t), "oci:"+dir, to)
			if (err != nil) != named || named && !strings.Contains(err.Error(), "is damaged, or a link to something else") {
				t.Errorf("named by the manifest: %t, to %s: %v", named, to, err)
			}
		}
		for _, file := range []string{out + ".tar", out + ".oci.tar"} {
			if content, err := os.ReadFile(file); (err != nil) != named || bytes.Contains(content, []byte("TOPSECRET")) {
				t.Errorf("named by the manifest: %t: %s has the secret, or %v", named, file, err)
			}
		}
		if sent.has("TOPSECRET") {
			t.Errorf("named by the manifest: %t: a registry got the secret", named)
		}
	}
}

// sentBodies records what a registry receives.
type sentBodies struct {
	mu   sync.Mutex
	sent bytes.Buffer
}

func (s *sentBodies) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.mu.Lock()
		s.sent.Write(body)
		s.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (s *sentBodies) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Contains(s.sent.Bytes(), []byte(text))
}

// TestSpecialFileInALayout: only regular files are opened. Opening a pipe would block.
func TestSpecialFileInALayout(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{pipe, "/dev/zero", "."} {
		for _, part := range []string{"configuration", "layer", "manifest", "index.json"} {
			dir, blobs := layoutOf(t)
			file := blobs[part]
			if file == "" {
				file = filepath.Join(dir, part)
			}
			if err := errors.Join(os.Remove(file), os.Symlink(target, file)); err != nil {
				t.Fatal(err)
			}
			if err := copyTo(t, newTransports(t), "oci:"+dir, "docker-archive:"+t.TempDir()+"/out.tar"); err == nil || !strings.Contains(err.Error(), file+`" is no file`) {
				t.Errorf("%s leads to %s: %v", part, target, err)
			}
		}
	}
}

// TestDamagedLayout: a blob with a wrong digest is refused for every destination, and one that is too large is not
// read into memory.
func TestDamagedLayout(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"configuration", "layer", "manifest"} {
		for _, size := range []int64{0, 1 << 40} {
			dir, blobs := layoutOf(t)
			content, err := os.ReadFile(blobs[part])
			if err != nil {
				t.Fatal(err)
			}
			content[len(content)-1] ^= 1
			write(t, blobs[part], content)
			if size > 0 && part != "layer" {
				if err := os.Truncate(blobs[part], size); err != nil { // which takes no space
					t.Fatal(err)
				}
			}
			out := t.TempDir()
			for _, to := range []string{"docker-archive:" + out + "/out.tar", "oci:" + out + "/layout", "docker://" + newRegistry(t, nil) + "/site/web:1"} {
				if err := copyTo(t, newTransports(t), "oci:"+dir, to); err == nil {
					t.Errorf("a damaged %s of %d bytes went to %s", part, size, to)
				}
			}
		}
	}
}

// TestIndexesInIndexes: indexes may be nested a few levels deep, in every source.
func TestIndexesInIndexes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		depth int
		err   string
	}{{3, ""}, {4, "its indexes are nested more than 3 deep"}} {
		index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: imageOf(t, "amd64", gzipped(t, "hello"))})
		for range c.depth {
			index = mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: index})
		}
		at, dir := newRegistry(t, nil)+"/site/web:1", filepath.Join(t.TempDir(), "layout")
		putIndex(t, at, index)
		if _, err := layout.Write(dir, index); err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{"docker://" + at, "oci:" + dir} {
			if _, err := read(t.Context(), newTransports(t), from); (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s, %d deep: %v, want %q", from, c.depth, err, c.err)
			}
		}
	}
}

// TestIndexOfItself: an index that contains itself ends with an error.
func TestIndexOfItself(t *testing.T) {
	t.Parallel()
	dir, blobs := layoutOf(t)
	digest := "sha256:" + filepath.Base(blobs["layer"])
	index := []byte(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","size":5,"digest":"` + digest + `"}]}`)
	write(t, blobs["layer"], index)
	write(t, filepath.Join(dir, "index.json"), index)
	_, err := newTransports(t).Find(t.Context(), Reference{Transport: OCILayout, Path: dir})
	if err == nil || !strings.Contains(err.Error(), digest+" is damaged") {
		t.Errorf("error %v", err)
	}
}

// TestPlatformSaidFirst: in an index, an image that states the platform comes before one that states none, from any
// source and in any order. At the top of a layout these are two images, and the user has to name one.
func TestPlatformSaidFirst(t *testing.T) {
	t.Parallel()
	mine, other := imageOf(t, "arm64", gzipped(t, "mine")), imageOf(t, "amd64", gzipped(t, "other"))
	want, err := mine.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	said := mutate.IndexAddendum{Add: mine, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}}
	for name, index := range map[string]v1.ImageIndex{
		"first": mutate.AppendManifests(empty.Index, said, mutate.IndexAddendum{Add: other}),
		"last":  mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: other}, said),
	} {
		transports := newTransports(t)
		transports.Platform.Architecture = "arm64"
		at, dir, top := newRegistry(t, nil)+"/site/web:1", filepath.Join(t.TempDir(), "layout"), filepath.Join(t.TempDir(), "top")
		putIndex(t, at, index)
		_, err := layout.Write(dir, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: index}))
		_, failed := layout.Write(top, index)
		if err := errors.Join(err, failed); err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{"docker://" + at, "oci:" + dir, "oci-archive:" + packedLayout(t, dir)} {
			if found, err := read(t.Context(), transports, from); err != nil || found.ID != want.String() {
				t.Errorf("%s, %s: %s, %v; want %s", name, from, found.ID, err, want)
			}
		}
		for _, from := range []string{"oci:" + top, "oci-archive:" + packedLayout(t, top)} {
			if found, err := read(t.Context(), transports, from); err == nil {
				t.Errorf("%s, %s: %s was taken", name, from, found.ID)
			}
		}
	}
}

// TestHugeIndex: an index with too many entries is refused.
func TestHugeIndex(t *testing.T) {
	t.Parallel()
	image := imageOf(t, "amd64", gzipped(t, "hello"))
	at := newRegistry(t, nil) + "/site/web:1"
	push(t, at, image)
	digest, err := image.Digest()
	ref, failed := name.ParseReference(at)
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	one := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":"` + digest.String() + `"}`
	text := `{"schemaVersion":2,"manifests":[` + strings.Repeat(one+",", 30_000) + one + `]}`
	if err := remote.Put(ref, manifestBytes{[]byte(text), types.OCIImageIndex}); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t.Context(), newTransports(t), "docker://"+at); err == nil || !strings.Contains(err.Error(), "its index: ") {
		t.Errorf("error %v", err)
	}
}

// TestLinkToHugeFile: a link to a file larger than the layer is not read to its end, and reading stops with the
// context.
func TestLinkToHugeFile(t *testing.T) {
	t.Parallel()
	dir, blobs := layoutOf(t)
	huge := filepath.Join(t.TempDir(), "huge")
	write(t, huge, nil)
	if err := errors.Join(os.Truncate(huge, 1<<40), os.Remove(blobs["layer"]), os.Symlink(huge, blobs["layer"])); err != nil {
		t.Fatal(err)
	}
	err := copyTo(t, newTransports(t), "oci:"+dir, "docker-archive:"+t.TempDir()+"/out.tar")
	if err == nil || !strings.Contains(err.Error(), "has 1099511627776 bytes, and should have at most") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	digest := v1.Hash{Algorithm: "sha256", Hex: filepath.Base(blobs["layer"])}
	if _, err := (layoutDir{ctx, dir}).openBlob(digest, 1<<40); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestLinkInALayoutAsDestination: adding an image to a layout does not write to the target of a link in it.
func TestLinkInALayoutAsDestination(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"index.json", "oci-layout"} {
		for _, ok := range []bool{true, false} {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "saved.tar"), savedImage(t, layerTar(t, "hello")))
			settings, into := filepath.Join(dir, "daemon.json"), filepath.Join(dir, "layout")
			if ok {
				write(t, settings, []byte("{}"))
			}
			if err := errors.Join(os.Mkdir(into, 0o755), os.Symlink(settings, filepath.Join(into, name))); err != nil {
				t.Fatal(err)
			}
			if err := copyTo(t, newTransports(t), "docker-archive:"+dir+"/saved.tar", "oci:"+into+":web"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if content, err := os.ReadFile(settings); string(content) != "{}" && (ok || !errors.Is(err, os.ErrNotExist)) {
				t.Errorf("the file behind a link %s is %.20q, %v now", name, content, err)
			}
			if _, err := read(t.Context(), newTransports(t), "oci:"+into+":web"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
