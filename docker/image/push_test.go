package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// noise returns text that does not compress. An upload of it is still in progress when its first bytes have been
// read.
func noise(size int) string {
	text := make([]byte, size)
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(text)
	return hex.EncodeToString(text)
}

// savedImage returns a Docker archive of an image with one layer.
func savedImage(t *testing.T, layer []byte) []byte {
	t.Helper()
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tarOf(t, []entry{{"config.json", config}, {"l/layer.tar", layer}, {"manifest.json", []byte(`[{"Config":"config.json","RepoTags":["web:1"],"Layers":["l/layer.tar"]}]`)}})
}

type entry struct {
	name    string
	content []byte
}

func tarOf(t *testing.T, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, one := range entries {
		if err := w.WriteHeader(&tar.Header{Name: one.name, Mode: 0o644, Size: int64(len(one.content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(one.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pushed reads and verifies all of the image that the registry has under a name.
func pushed(t *testing.T, at string) error {
	t.Helper()
	ref, err := name.ParseReference(at)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref)
	if err != nil {
		return err
	}
	return validate.Image(image)
}

// failures are ways in which a registry or a proxy fails during an upload.
var failures = map[string]func(w http.ResponseWriter, r *http.Request){
	"503": func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusServiceUnavailable)
	},
	"429": func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`)
	},
	"reset": func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
		connection, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = connection.(*net.TCPConn).SetLinger(0)
			_ = connection.Close()
		}
	},
	"307": func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
		http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
	},
	"forgotten": func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown to registry"}]}`)
	},
}

// failing makes the first uploads fail.
func failing(fail func(http.ResponseWriter, *http.Request), times int32) func(http.Handler) http.Handler {
	var seen atomic.Int32
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPatch && seen.Add(1) <= times {
				fail(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// sources returns one image in files, for each kind of source.
func sources(t *testing.T) map[string]Reference {
	t.Helper()
	dir := t.TempDir()
	text := noise(2 << 20)
	write(t, filepath.Join(dir, "saved.tar"), savedImage(t, layerTar(t, text)))
	image := imageOf(t, "amd64", gzipped(t, text))
	path, err := openLayout(filepath.Join(dir, "layout"))
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(image, layout.WithAnnotations(nil)); err != nil {
		t.Fatal(err)
	}
	return map[string]Reference{
		"packed on the way": {Transport: DockerArchive, Path: filepath.Join(dir, "saved.tar")},
		"as it is":          {Transport: OCIArchive, Path: packedLayout(t, filepath.Join(dir, "layout"))},
		"part by part":      {Transport: OCILayout, Path: filepath.Join(dir, "layout")},
	}
}

// TestPushFailsHalfWay: a failed upload starts again from the beginning of the layer, never from the middle. Where
// that is impossible, the push fails and leaves no image.
func TestPushFailsHalfWay(t *testing.T) {
	t.Parallel()
	for kind, from := range sources(t) {
		for failure, fail := range failures {
			t.Run(kind+" "+failure, func(t *testing.T) {
				t.Parallel()
				at := newRegistry(t, failing(fail, 1)) + "/site/web:1"
				transports := newTransports(t)
				transports.Retries = 2
				retried := 0
				transports.Retrying = func(error, time.Duration) { retried++ }
				source, err := transports.Find(t.Context(), from)
				if err != nil {
					t.Fatal(err)
				}
				stored, err := transports.Store(t.Context(), source, Reference{Transport: Registry, Name: at}, io.Discard)
				if err != nil {
					t.Fatal(err)
				}
				if err := pushed(t, at); err != nil {
					t.Errorf("%+v was pushed, but: %v", stored, err)
				}
				if retried == 0 && source.layered == nil {
					t.Error("nobody was told of the other attempt")
				}
			})
		}
	}
}

// stateful adds a secret to the addresses of uploads, as distribution does.
type stateful struct{ http.RoundTripper }

func (s stateful) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := s.RoundTripper.RoundTrip(r)
	if err == nil && r.Method == http.MethodPost {
		response.Header.Set("Location", response.Header.Get("Location")+"?_state=secret")
	}
	return response, err
}

// TestPushGivesUp: the error names the original failure, and no image is left.
func TestPushGivesUp(t *testing.T) {
	t.Parallel()
	archive := sources(t)["packed on the way"]
	for failure, want := range map[string]string{"503": "the registry answered 503 Service Unavailable", "429": "slow down", "reset": ": PATCH http://", "307": "was requested again"} {
		t.Run(failure, func(t *testing.T) {
			t.Parallel()
			at := newRegistry(t, failing(failures[failure], 99)) + "/site/web:1"
			transports := newTransports(t)
			transports.Registry.Remote = append(transports.Registry.Remote, remote.WithTransport(stateful{http.DefaultTransport}))
			source, err := transports.Find(t.Context(), archive)
			if err != nil {
				t.Fatal(err)
			}
			_, err = transports.Store(t.Context(), source, Reference{Transport: Registry, Name: at}, io.Discard)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v, want %q and no secret", err, want)
			}
			if pushed(t, at) == nil {
				t.Error("there is an image")
			}
		})
	}
}

// TestPushFromStdin: a source that can be read only once is not retried, and the error has a tip.
func TestPushFromStdin(t *testing.T) {
	t.Parallel()
	at := newRegistry(t, failing(failures["503"], 1)) + "/site/web:1"
	transports := newTransports(t)
	transports.Retries, transports.Stdin = 3, bytes.NewReader(savedImage(t, layerTar(t, noise(4<<20))))
	source, err := transports.Find(t.Context(), Reference{Transport: Stream})
	if err != nil {
		t.Fatal(err)
	}
	_, err = transports.Store(t.Context(), source, Reference{Transport: Registry, Name: at}, io.Discard)
	var hinted interface{ Hint() string }
	if !asHinted(err, &hinted) || !strings.Contains(err.Error(), "503") || !strings.Contains(hinted.Hint(), "cannot be sent twice") {
		t.Errorf("error %v", err)
	}
	if pushed(t, at) == nil {
		t.Error("there is an image")
	}
}

// rewinding asks for a request's body again after part of it has been sent, as HTTP clients do when a connection
// breaks.
type rewinding struct {
	http.RoundTripper
	done atomic.Bool
}

func (r *rewinding) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodPatch && request.GetBody != nil && r.done.CompareAndSwap(false, true) {
		_, _ = io.CopyN(io.Discard, request.Body, 1<<20)
		_ = request.Body.Close()
		again, err := request.GetBody()
		if err != nil {
			return nil, err
		}
		request = request.Clone(request.Context())
		request.Body = again
	}
	return r.RoundTripper.RoundTrip(request)
}

// TestBodyReadTwice: a body that is sent again is the same as before.
func TestBodyReadTwice(t *testing.T) {
	t.Parallel()
	for kind, from := range sources(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			at := newRegistry(t, nil) + "/site/web:1"
			transports := newTransports(t)
			transports.Retries = 1
			transports.Registry.Remote = []remote.Option{remote.WithTransport(&rewinding{RoundTripper: http.DefaultTransport})}
			source, err := transports.Find(t.Context(), from)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = transports.Store(t.Context(), source, Reference{Transport: Registry, Name: at}, io.Discard); err != nil {
				t.Fatal(err)
			}
			if err := pushed(t, at); err != nil {
				t.Errorf("pushed, but: %v", err)
			}
		})
	}
}

// lossy is a registry that states a smaller size of a layer than it received, or none.
func lossy(status int, size string, on *atomic.Bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if on.Load() && r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/blobs/") {
				answer := httptest.NewRecorder()
				if next.ServeHTTP(answer, r); answer.Code == http.StatusOK {
					w.Header().Set("Content-Length", size)
					w.WriteHeader(status)
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

// TestUnconfirmedLayer: an image gets no name if the registry does not have its layers as sent.
func TestUnconfirmedLayer(t *testing.T) {
	t.Parallel()
	for kind, from := range sources(t) {
		for _, lost := range []struct {
			status     int
			size, want string
		}{{http.StatusOK, "7", "the registry has 7 bytes of blob sha256:"}, {http.StatusNotFound, "0", "the registry does not have blob sha256:"}} {
			t.Run(fmt.Sprint(kind, lost.status), func(t *testing.T) {
				t.Parallel()
				var on atomic.Bool
				on.Store(true)
				at := newRegistry(t, lossy(lost.status, lost.size, &on)) + "/site/web:1"
				transports := newTransports(t)
				source, err := transports.Find(t.Context(), from)
				if err != nil {
					t.Fatal(err)
				}
				if _, err = transports.Store(t.Context(), source, Reference{Transport: Registry, Name: at}, io.Discard); err == nil || !strings.Contains(err.Error(), lost.want) {
					t.Errorf("error %v, want %q", err, lost.want)
				}
				on.Store(false)
				if pushed(t, at) == nil {
					t.Error("there is an image")
				}
			})
		}
	}
}

// TestOtherManifest: the push fails if the registry has another manifest under the name than was sent.
func TestOtherManifest(t *testing.T) {
	t.Parallel()
	var other []byte
	at := newRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/site/web/manifests/1") && other != nil {
				r.Body = io.NopCloser(bytes.NewReader(other))
			}
			next.ServeHTTP(w, r)
		})
	}) + "/site/web:1"
	push(t, at, imageOf(t, "amd64", gzipped(t, "another")))
	ref, err := name.ParseReference(at)
	if err != nil {
		t.Fatal(err)
	}
	current, err := remote.Get(ref)
	if err != nil {
		t.Fatal(err)
	}
	other = current.Manifest
	transports := newTransports(t)
	source, err := transports.Find(t.Context(), sources(t)["as it is"])
	if err != nil {
		t.Fatal(err)
	}
	_, err = transports.Store(t.Context(), source, Reference{Transport: Registry, Name: at}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "the registry has "+current.Digest.String()+" under that name") {
		t.Errorf("error %v", err)
	}
}

// TestPartlyPushedImage: an image of which the registry lacks a layer is pushed again; a complete one only with
// Force.
func TestPartlyPushedImage(t *testing.T) {
	t.Parallel()
	var lacking atomic.Bool
	at := newRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				lacking.Store(false) // until it is sent
			}
			if lacking.Load() && r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/blobs/") {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			next.ServeHTTP(w, r)
		})
	}) + "/site/web:1"
	transports := newTransports(t)
	source, err := transports.Find(t.Context(), sources(t)["packed on the way"])
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ lacking, force, existed bool }{{}, {existed: true}, {lacking: true}, {existed: true}, {force: true}} {
		lacking.Store(step.lacking)
		transports.Force = step.force
		stored, err := transports.Store(t.Context(), source, Reference{Transport: Registry, Name: at}, io.Discard)
		if err != nil || stored.Existed != step.existed {
			t.Errorf("%+v: got %+v, %v", step, stored, err)
		}
	}
}

// TestIndexIsReplaced: an index under the name is replaced, even if the registry answers with this image for the
// platform.
func TestIndexIsReplaced(t *testing.T) {
	t.Parallel()
	for kind, from := range sources(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			registry := newRegistry(t, nil)
			transports := newTransports(t)
			source, err := transports.Find(t.Context(), from)
			if err != nil {
				t.Fatal(err)
			}
			alone, err := transports.Store(t.Context(), source, Reference{Transport: Registry, Name: registry + "/site/web:alone"}, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			other, err := name.ParseReference(registry + "/site/web:alone")
			if err != nil {
				t.Fatal(err)
			}
			image, err := remote.Image(other)
			if err != nil {
				t.Fatal(err)
			}
			ref, err := name.ParseReference(registry + "/site/web:1")
			if err != nil {
				t.Fatal(err)
			}
			index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
			if err := remote.WriteIndex(ref, index); err != nil {
				t.Fatal(err)
			}
			for _, existed := range []bool{false, true} {
				stored, err := transports.Store(t.Context(), source, Reference{Transport: Registry, Name: ref.String()}, io.Discard)
				existed = existed && (source.ID != "" || source.Digest != "") // which image it is, is known before it is read
				if err != nil || stored.Existed != existed || stored.Digest != alone.Digest {
					t.Errorf("got %+v, %v, want existed: %t", stored, err, existed)
				}
				current, err := remote.Get(ref)
				if err != nil || current.Digest.String() != alone.Digest {
					t.Errorf("under the name is %v, %v", current, err)
				}
			}
		})
	}
}

// TestTruncatedIsReplaced: an image with the same configuration and a truncated layer is replaced, if the manifest of
// the source is known.
func TestTruncatedIsReplaced(t *testing.T) {
	t.Parallel()
	at := newRegistry(t, nil) + "/site/web:1"
	transports := newTransports(t)
	source, err := transports.Find(t.Context(), sources(t)["part by part"])
	if err != nil {
		t.Fatal(err)
	}
	truncated := truncatedImage{source.layered, gzipped(t, "the rest")}
	push(t, at, truncated)
	stored, err := transports.Store(t.Context(), source, Reference{Transport: Registry, Name: at}, io.Discard)
	if err != nil || stored.Existed {
		t.Errorf("got %+v, %v", stored, err)
	}
	if err := pushed(t, at); err != nil {
		t.Error(err)
	}
}

// truncatedImage has the image's configuration and another layer.
type truncatedImage struct {
	v1.Image
	layer v1.Layer
}

func (i truncatedImage) Layers() ([]v1.Layer, error) { return []v1.Layer{i.layer}, nil }
func (i truncatedImage) Manifest() (*v1.Manifest, error) {
	manifest, err := i.Image.Manifest()
	if err != nil {
		return nil, err
	}
	manifest = manifest.DeepCopy()
	digest, err := i.layer.Digest()
	if err != nil {
		return nil, err
	}
	size, err := i.layer.Size()
	manifest.Layers[0].Digest, manifest.Layers[0].Size = digest, size
	return manifest, err
}

func (i truncatedImage) RawManifest() ([]byte, error) {
	manifest, err := i.Manifest()
	if err != nil {
		return nil, err
	}
	return json.Marshal(manifest)
}

func (i truncatedImage) Digest() (v1.Hash, error) {
	content, err := i.RawManifest()
	if err != nil {
		return v1.Hash{}, err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(content))
	return digest, err
}

// TestWrongLayerName: an archive that names a layer by another's digest is refused, even if the registry has that
// one.
func TestWrongLayerName(t *testing.T) {
	t.Parallel()
	registry := newRegistry(t, nil)
	stored := gzipped(t, "what is there")
	push(t, registry+"/site/web:0", imageOf(t, "amd64", stored))
	digest, err := stored.Digest()
	if err != nil {
		t.Fatal(err)
	}
	layer := gzipped(t, "what is sent")
	content, err := layer.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	packed, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	image := imageOf(t, "amd64", layer)
	config, err := image.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	lies := []entry{{"config.json", config}, {"blobs/sha256/" + digest.Hex, packed}, {"manifest.json", []byte(`[{"Config":"config.json","Layers":["blobs/sha256/` + digest.Hex + `"]}]`)}}
	file := filepath.Join(t.TempDir(), "lies.tar")
	write(t, file, tarOf(t, lies))
	transports := newTransports(t)
	source, err := transports.Find(t.Context(), Reference{Transport: DockerArchive, Path: file})
	if err != nil {
		t.Fatal(err)
	}
	_, err = transports.Store(t.Context(), source, Reference{Transport: Registry, Name: registry + "/site/web:1"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("error %v", err)
	}
	if pushed(t, registry+"/site/web:1") == nil {
		t.Error("there is an image")
	}
}
