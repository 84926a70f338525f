package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"ndock/docker/archive"
)

// newRegistry starts a registry. handle, if not nil, wraps its handler.
func newRegistry(t *testing.T, handle func(next http.Handler) http.Handler) string {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	if handle != nil {
		handler = handle(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections() // an upload that nobody ends would be waited for
		server.Close()
	})
	return strings.TrimPrefix(server.URL, "http://")
}

func newTransports(t *testing.T) Transports {
	return Transports{
		Registry: RegistryOptions{Remote: Remote("ndock/test", t.TempDir(), false, 0, nil)},
		Platform: archive.Platform{OS: "linux", Architecture: "amd64"}, Strict: true,
		Limits: archive.Limits{Unpacked: 1 << 30, Ratio: 200},
	}
}

func layerTar(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "motd", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func imageOf(t *testing.T, architecture string, layers ...v1.Layer) v1.Image {
	t.Helper()
	image, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

func gzipped(t *testing.T, text string) v1.Layer {
	t.Helper()
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layerTar(t, text))), nil })
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

func push(t *testing.T, at string, image v1.Image) {
	t.Helper()
	ref, err := name.ParseReference(at)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
}

// read finds an image and reads it to its end: as one archive, and with its layers in a store, which must be the same.
func read(ctx context.Context, transports Transports, text string) (Metadata, error) {
	found, err := readBy(ctx, transports, text, (*Source).Archive)
	if text == "-" { // it can be read once
		return found, err
	}
	inLayers, layersErr := readBy(ctx, transports, text, func(s *Source, ctx context.Context) (*Archive, error) { return s.LayeredArchive(ctx, newMemoryStore()) })
	if inLayers.Digest = found.Digest; !reflect.DeepEqual(found, inLayers) || (err == nil) != (layersErr == nil) {
		return found, fmt.Errorf("as an archive: %+v, %w; in layers: %+v, %w", found, err, inLayers, layersErr)
	}
	return found, err
}

func readBy(ctx context.Context, transports Transports, text string, open func(*Source, context.Context) (*Archive, error)) (Metadata, error) {
	r, err := ParseReference(text)
	if err != nil {
		return Metadata{}, err
	}
	source, err := transports.Find(ctx, r)
	if err != nil {
		return Metadata{}, err
	}
	opened, err := open(source, ctx)
	if err != nil {
		return Metadata{}, err
	}
	defer opened.Close()
	if _, err := io.Copy(io.Discard, opened); err != nil {
		return Metadata{}, err
	}
	return opened.Metadata(), nil
}

// TestPlatforms: the image for the platform is taken from an index; another only on request.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	at := newRegistry(t, nil)
	var index v1.ImageIndex = empty.Index
	ids := map[string]string{}
	for _, architecture := range []string{"amd64", "arm64"} {
		image := imageOf(t, architecture, gzipped(t, architecture))
		id, err := image.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		ids[architecture] = id.String()
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}}})
	}
	ref, err := name.ParseReference(at + "/site/web:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"/site/web:1", "/site/web@" + digest.String()} {
		for architecture, id := range ids {
			transports := newTransports(t)
			transports.Platform.Architecture = architecture
			if found, err := read(t.Context(), transports, "docker://"+at+where); err != nil || found.ID != id {
				t.Errorf("%s for %s: got %+v, %v, want %s", where, architecture, found, err, id)
			}
		}
	}
	transports := newTransports(t)
	transports.Platform.Architecture = "riscv64"
	if _, err := read(t.Context(), transports, "docker://"+at+"/site/web:1"); err == nil || !strings.Contains(err.Error(), "riscv64") {
		t.Errorf("error %v, want that there is none for riscv64", err)
	}
	push(t, at+"/site/arm:1", imageOf(t, "arm64", gzipped(t, "x")))
	if _, err := read(t.Context(), newTransports(t), "docker://"+at+"/site/arm:1"); err == nil || !strings.Contains(err.Error(), "it is for linux/arm64, not for linux/amd64") {
		t.Errorf("error %v", err)
	}
}

// TestZstd: a layer in zstd is decompressed for engines, and left as it is for all else.
func TestZstd(t *testing.T) {
	t.Parallel()
	at := newRegistry(t, nil)
	plain := layerTar(t, strings.Repeat("hello", 1000))
	packer, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	diffID, _, err := v1.SHA256(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	layer := zstdLayer{static.NewLayer(packer.EncodeAll(plain, nil), types.OCILayerZStd), diffID}
	image := imageOf(t, "amd64", layer)
	push(t, at+"/site/web:1", image)
	id, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if found, err := read(t.Context(), newTransports(t), "docker://"+at+"/site/web:1"); err != nil || found.ID != id.String() || found.Unpacked != 5000 {
		t.Errorf("got %+v, %v, want %s", found, err, id)
	}
	dir := filepath.Join(t.TempDir(), "layout")
	source, err := newTransports(t).Find(t.Context(), Reference{Transport: Registry, Name: at + "/site/web:1"})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := newTransports(t).Store(t.Context(), source, Reference{Transport: OCILayout, Path: dir}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if digest, err := image.Digest(); err != nil || stored.Digest != digest.String() {
		t.Errorf("stored as %s, want %s, %v", stored.Digest, digest, err)
	}
	zstdInArchive(t, dir)
}

// zstdInArchive checks that a layer in zstd is decompressed for an archive, too.
func zstdInArchive(t *testing.T, layout string) {
	t.Helper()
	if found, err := read(t.Context(), newTransports(t), "oci-archive:"+packedLayout(t, layout)); err != nil || found.Unpacked != 5000 {
		t.Errorf("got %+v, %v", found, err)
	}
}

// packedLayout returns an oci-archive of a layout.
func packedLayout(t *testing.T, layout string) string {
	t.Helper()
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	if err := errors.Join(w.AddFS(os.DirFS(layout)), w.Close()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "image.tar")
	write(t, file, packed.Bytes())
	return file
}

// TestManifestIsKept: an image with compressed layers keeps its manifest, and so its digest, through an archive.
func TestManifestIsKept(t *testing.T) {
	t.Parallel()
	at, transports := newRegistry(t, nil), newTransports(t)
	image := mutate.Annotations(imageOf(t, "amd64", gzipped(t, "hello")), map[string]string{"org.opencontainers.image.source": "here"}).(v1.Image)
	want, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	push(t, at+"/site/web:1", image)
	dir := filepath.Join(t.TempDir(), "layout")
	for _, way := range []struct{ from, to Reference }{
		{Reference{Transport: Registry, Name: at + "/site/web:1"}, Reference{Transport: OCILayout, Path: dir}},
		{Reference{Transport: OCIArchive}, Reference{Transport: Registry, Name: at + "/other/web:1"}},
	} {
		if way.from.Transport == OCIArchive {
			way.from.Path = packedLayout(t, dir)
		}
		source, err := transports.Find(t.Context(), way.from)
		if err != nil {
			t.Fatal(err)
		}
		if stored, err := transports.Store(t.Context(), source, way.to, io.Discard); err != nil || stored.Digest != want.String() {
			t.Errorf("%s: stored as %s, %v, want %s", way.to, stored.Digest, err, want)
		}
	}
}

type zstdLayer struct {
	v1.Layer
	diffID v1.Hash
}

func (l zstdLayer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// TestDamagedInRegistry: damaged data from a registry is refused.
func TestDamagedInRegistry(t *testing.T) {
	t.Parallel()
	broken := false
	at := newRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if broken && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
				recorder := httptest.NewRecorder()
				next.ServeHTTP(recorder, r)
				content := recorder.Body.Bytes()
				content[len(content)/2]++
				w.Header().Set("Content-Length", fmt.Sprint(len(content)))
				_, _ = w.Write(content)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	push(t, at+"/site/web:1", imageOf(t, "amd64", gzipped(t, strings.Repeat("hello", 1000))))
	transports := newTransports(t)
	source, err := transports.Find(t.Context(), Reference{Transport: Registry, Name: at + "/site/web:1"})
	if err != nil {
		t.Fatal(err)
	}
	broken = true
	opened, err := source.Archive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if _, err := io.Copy(io.Discard, opened); err == nil {
		t.Error("a damaged layer was taken")
	}
}

// TestLogin: docker's login is used, and the error without one has a tip.
func TestLogin(t *testing.T) {
	config := t.TempDir()
	t.Setenv("DOCKER_CONFIG", config)
	at := newRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != "ci" || password != "secret" {
				w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	image := Reference{Transport: Registry, Name: at + "/site/web:1"}
	_, err := newTransports(t).Find(t.Context(), image)
	var hinted interface{ Hint() string }
	if !asHinted(err, &hinted) || !strings.Contains(hinted.Hint(), "'docker login' logs in") {
		t.Errorf("error %v, want a hint", err)
	}
	auth := base64.StdEncoding.EncodeToString([]byte("ci:secret"))
	write(t, filepath.Join(config, "config.json"), []byte(`{"auths": {"`+at+`": {"auth": "`+auth+`"}}}`))
	_, err = newTransports(t).Find(t.Context(), image)
	if err == nil || !strings.Contains(err.Error(), "the registry has no such image") {
		t.Errorf("error %v, want that there is no such image", err)
	}
}

func asHinted(err error, target *interface{ Hint() string }) bool {
	found, ok := err.(interface{ Hint() string })
	if ok {
		*target = found
	}
	return ok
}

// TestExistingImageIsNotPushed: pushing an image that is there sends nothing.
func TestExistingImageIsNotPushed(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex // layers are sent in parallel
	var writes []string
	at := newRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !slices.Contains([]string{http.MethodGet, http.MethodHead}, r.Method) {
				mu.Lock()
				writes = append(writes, r.Method+" "+r.URL.Path)
				mu.Unlock()
			}
			next.ServeHTTP(w, r)
		})
	})
	push(t, at+"/site/web:1", imageOf(t, "amd64", gzipped(t, "hello")))
	transports := newTransports(t)
	source, err := transports.Find(t.Context(), Reference{Transport: Registry, Name: at + "/site/web:1"})
	if err != nil {
		t.Fatal(err)
	}
	writes = nil
	stored, err := transports.Store(t.Context(), source, Reference{Transport: Registry, Name: at + "/site/web:1"}, io.Discard)
	if err != nil || !stored.Existed || len(writes) > 0 {
		t.Errorf("got %+v, %v, and wrote %v", stored, err, writes)
	}
	if stored, err = transports.Store(t.Context(), source, Reference{Transport: Registry, Name: at + "/other/web:1"}, io.Discard); err != nil || stored.Existed {
		t.Errorf("got %+v, %v", stored, err)
	}
}

// TestNoQueryInErrors: errors do not contain the query of an address, wherever the address is from.
func TestNoQueryInErrors(t *testing.T) {
	t.Parallel()
	invalid := &transport.Error{StatusCode: http.StatusForbidden, Request: &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: "auth", Path: "/token", RawQuery: "scope=a"}}}
	upload := func(err error) error {
		return &url.Error{Op: "Patch", URL: "https://r/v2/web/blobs/uploads/1?_state=SECRET", Err: err}
	}
	for what, err := range map[string]error{
		"answer in request":  upload(invalid),
		"request in request": upload(&url.Error{Op: "Get", URL: "https://r/token?sig=SECRET", Err: io.ErrUnexpectedEOF}),
		"two":                errors.Join(upload(io.EOF), upload(io.ErrUnexpectedEOF)),
		"in a text":          fmt.Errorf("failed to parse Location header %q: %w", "/v2/?sig=SECRET", io.EOF),
	} {
		explained := explainRegistry(`push image "web"`, err)
		if text := explained.Error(); strings.Contains(text, "SECRET") || !strings.Contains(text, "/v2/") {
			t.Errorf("%s: error %v", what, explained)
		}
	}
}

// TestUntrustedCertificate: the hint names the registry and the command that has its certificate trusted.
func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	host, _ := newTLSRegistry(t, func(next http.Handler) http.Handler { return next })
	transports := newTransports(t)
	transports.Registry.Remote = Remote("ndock/test", t.TempDir(), false, 0, nil)
	want := "its CA belongs in /etc/docker/certs.d/" + host + "/ca.crt, where 'ndock registry trust " + host + "' puts it"
	_, pulled := read(t.Context(), transports, "docker://"+host+"/site/web:1")
	for what, err := range map[string]error{"pull": pulled, "push": pushTo(t, transports, smallImage(t), host+"/site/web:1")} {
		var hinted interface{ Hint() string }
		if !asHinted(err, &hinted) || hinted.Hint() != want {
			t.Errorf("%s: error %v, without %q", what, err, want)
		}
	}
}

// TestNoRegistry: of two attempts, with TLS and without, the one that was answered is told.
func TestNoRegistry(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusNotFound) }))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	at := "docker://" + host + "/site/web:1"
	want := fmt.Sprintf("image %q: the registry answered 404 Not Found", at)
	_, err := read(t.Context(), newTransports(t), at)
	var hinted interface{ Hint() string }
	if err == nil || err.Error() != want || !asHinted(err, &hinted) || hinted.Hint() != "see whether it is a registry that listens at "+host {
		t.Errorf("error %v, want %s", err, want)
	}
}
