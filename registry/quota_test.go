package registry

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

const tooMuch = "%s takes %s of the 1KiB that it may, and this would be more: delete images there and have garbage collected, or ask who runs the registry for a larger quota"

// over checks that a client is told that a namespace has no room.
func (r *served) over(t *testing.T, name, used string, answer *http.Response) {
	t.Helper()
	r.refused(t, http.StatusRequestEntityTooLarge, "DENIED", fmt.Sprintf(tooMuch, name, used), answer)
}

func (r *served) mount(t *testing.T, name, from, blob string) *http.Response {
	t.Helper()
	return r.do(t, http.MethodPost, "/v2/"+name+"/blobs/uploads/?from="+from+"&mount="+blob, nil)
}

func blobOf(char string, size int) []byte { return bytes.Repeat([]byte(char), size) }

// A namespace takes as much as its quota says, however its layers come, also after a restart; others have their own.
func TestQuota(t *testing.T) {
	data := t.TempDir()
	r := serve(t, ServeOptions{Data: data, Quota: 1024})
	a := r.pushBlob(t, "web/a", blobOf("a", 600))
	r.want(t, http.StatusCreated, r.mount(t, "web/b", "web/a", a)) // counts once
	r.over(t, "web", "600B", r.do(t, http.MethodPut, r.start(t, "web/b")+"&digest=sha256:"+strings.Repeat("0", 64), blobOf("b", 425)))
	r.over(t, "web", "600B", r.stream(t, r.start(t, "web/b"), blobOf("b", 9000)))
	first := r.stream(t, r.start(t, "web/b"), blobOf("b", 400))
	r.want(t, http.StatusAccepted, first)
	r.over(t, "web", "600B", r.stream(t, first.Header.Get("Location"), blobOf("b", 25)))
	b := r.pushBlob(t, "other", blobOf("b", 425))
	r.over(t, "web", "600B", r.mount(t, "web/b", "other", b))
	for _, path := range glob(t, filepath.Join(data, "docker/registry/v2/repositories/web/*/_uploads/*/data")) {
		if info, err := os.Stat(path); err != nil || info.Size() > 0 { // the mount that was refused leaves an empty one
			t.Errorf("left behind: %s (%v)", path, err)
		}
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}

	r = serve(t, ServeOptions{Data: data, Quota: 1024})
	r.over(t, "web", "600B", r.mount(t, "web/b", "other", b))
	r.pushBlob(t, "web/b", blobOf("c", 424))
	r.over(t, "web", "1KiB", r.stream(t, r.start(t, "web/b"), []byte("d")))
	r.over(t, "web", "1KiB", r.do(t, http.MethodPut, "/v2/web/b/manifests/1", []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"`+a+`","size":600},"layers":[]}`)))
	r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/web/a/blobs/"+a, nil))
	r.want(t, http.StatusCreated, r.mount(t, "web/c", "web/a", a))
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Two that had room each, but have none together: the last one is refused.
func TestQuotaOfTwoAtOnce(t *testing.T) {
	r := serve(t, ServeOptions{Quota: 1024})
	ends := map[string]string{}
	for _, char := range []string{"a", "b"} {
		sent := r.stream(t, r.start(t, "web/"+char), blobOf(char, 600))
		r.want(t, http.StatusAccepted, sent)
		ends[char] = sent.Header.Get("Location") + "&digest=" + digest.FromBytes(blobOf(char, 600)).String()
	}
	r.want(t, http.StatusCreated, r.do(t, http.MethodPut, ends["a"], nil))
	r.over(t, "web", "600B", r.do(t, http.MethodPut, ends["b"], nil))
}

// What is deleted makes room at once.
func TestQuotaAfterDelete(t *testing.T) {
	r := serve(t, ServeOptions{Quota: 1024})
	a := r.pushBlob(t, "web", blobOf("a", 1024))
	r.over(t, "web", "1KiB", r.stream(t, r.start(t, "web"), []byte("b")))
	r.want(t, http.StatusAccepted, r.do(t, http.MethodDelete, "/v2/web/blobs/"+a, nil))
	r.pushBlob(t, "web", blobOf("b", 1024))
}

// What garbage collection frees makes room at once.
func TestQuotaAfterCollection(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "control")
	r := serve(t, ServeOptions{Quota: 1024, Control: socket})
	r.pushBlob(t, "web", blobOf("a", 1024))
	r.over(t, "web", "1KiB", r.stream(t, r.start(t, "web"), []byte("b")))
	if _, err := Collect(t.Context(), DialSocket(socket), collection(time.Minute)); err != nil {
		t.Fatal(err)
	}
	r.pushBlob(t, "web", blobOf("b", 1024))
}

func TestDeployWithQuota(t *testing.T) {
	if got := strings.Join(DeployOptions{Quota: 5000}.command(), " "); !strings.HasSuffix(got, " --quota 5000") {
		t.Errorf("the container runs %s", got)
	}
}
