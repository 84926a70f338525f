package serve

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"ndock/registry/config"
	"ndock/registry/control"
	"ndock/registry/gc"
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
	r := serve(t, config.Options{Data: data, Limits: config.Limits{Quota: 1024}})
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

	r = serve(t, config.Options{Data: data, Limits: config.Limits{Quota: 1024}})
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

// What came of uploads that are not complete counts, be it that two come at once, or that the registry starts anew.
func TestQuotaOfOpenUploads(t *testing.T) {
	data := t.TempDir()
	r := serve(t, config.Options{Data: data, Limits: config.Limits{Quota: 1024}})
	sent := r.stream(t, r.start(t, "web/a"), blobOf("a", 600))
	r.want(t, http.StatusAccepted, sent)
	r.over(t, "web", "600B", r.stream(t, r.start(t, "web/b"), blobOf("b", 600)))
	r.over(t, "web", "600B", r.do(t, http.MethodPut, r.start(t, "web/b")+"&digest=sha256:"+strings.Repeat("0", 64), blobOf("b", 600)))
	r.pushBlob(t, "web/b", blobOf("b", 400))
	r.want(t, http.StatusCreated, r.do(t, http.MethodPut, sent.Header.Get("Location")+"&digest="+digest.FromBytes(blobOf("a", 600)).String(), nil))
	r.over(t, "web", "1000B", r.stream(t, r.start(t, "web/b"), blobOf("c", 25)))

	open := r.stream(t, r.start(t, "other"), blobOf("a", 1000))
	r.want(t, http.StatusAccepted, open)
	if err := r.end(); err != nil {
		t.Error(err)
	}
	r = serve(t, config.Options{Data: data, Limits: config.Limits{Quota: 1024}})
	status := r.stream(t, r.start(t, "other"), blobOf("b", 1000))
	if body := r.want(t, http.StatusRequestEntityTooLarge, status); !strings.Contains(body, "other takes 1") {
		t.Errorf("after a restart: %s", body)
	}
}

// A cancelled upload counts while a request to it goes on: its file is there until that ends.
func TestQuotaOfCancelledUpload(t *testing.T) {
	r := serve(t, config.Options{Limits: config.Limits{Quota: 1024}, Metrics: "127.0.0.1:0"})
	location := r.start(t, "web/a")
	conn := r.dial(t)
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: registry\r\nTransfer-Encoding: chunked\r\n\r\n258\r\n%s\r\n", strings.TrimPrefix(location, r.url), blobOf("a", 600))
	r.until(t, "ndock_registry_received_bytes_total 600")
	r.want(t, http.StatusNoContent, r.do(t, http.MethodDelete, location, nil))
	r.over(t, "web", "600B", r.stream(t, r.start(t, "web/b"), blobOf("b", 600)))
	fmt.Fprint(conn, "0\r\n\r\n")
	readAnswer(t, bufio.NewReader(conn))
	r.until(t, "ndock_registry_uploads 0")
	r.pushBlob(t, "web/b", blobOf("b", 600))
}

// What came of a cancelled upload with earlier requests counts, too, while one to it goes on.
func TestQuotaOfUploadThatIsCancelledLater(t *testing.T) {
	r := serve(t, config.Options{Limits: config.Limits{Quota: 1024}, Metrics: "127.0.0.1:0"})
	sent := r.stream(t, r.start(t, "web/a"), blobOf("a", 600))
	r.want(t, http.StatusAccepted, sent)
	location := sent.Header.Get("Location")
	conn := r.dial(t)
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: registry\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", strings.TrimPrefix(location, r.url))
	r.until(t, "ndock_registry_received_bytes_total 601")
	r.want(t, http.StatusNoContent, r.do(t, http.MethodDelete, location, nil))
	r.over(t, "web", "601B", r.stream(t, r.start(t, "web/b"), blobOf("b", 600)))
	fmt.Fprint(conn, "0\r\n\r\n")
	readAnswer(t, bufio.NewReader(conn))
	r.until(t, "ndock_registry_uploads 0")
	r.pushBlob(t, "web/b", blobOf("b", 1024))
}

// A cancelled upload leaves nothing that counts as an open one, also when a namespace is counted anew, and whatever a
// request to it that ends later does.
func TestCancelledUploadsAreNotOpen(t *testing.T) {
	o := config.Options{Data: t.TempDir(), Limits: config.Limits{MaxOpenUploads: 2}, Metrics: "127.0.0.1:0"}
	r := serve(t, o)
	for range 3 {
		r.want(t, http.StatusNoContent, r.do(t, http.MethodDelete, r.start(t, "web"), nil))
	}
	location := r.start(t, "web")
	conn := r.dial(t)
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: registry\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", strings.TrimPrefix(location, r.url))
	r.until(t, "ndock_registry_received_bytes_total 1")
	r.want(t, http.StatusNoContent, r.do(t, http.MethodDelete, location, nil))
	fmt.Fprint(conn, "0\r\n\r\n")
	readAnswer(t, bufio.NewReader(conn))
	if left := glob(t, filepath.Join(o.Data, "docker/registry/v2/repositories/web/_uploads/*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"1", "2", "3"} { // as an ndock before this one left them
		file := filepath.Join(o.Data, "docker/registry/v2/repositories/web/_uploads", id, "hashstates/sha256/0")
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	o.Quota = 1 << 20 // so that it is counted at once
	r = serve(t, o)
	r.start(t, "web")
	r.start(t, "web")
	sent := r.stream(t, r.start(t, "a/hashstates/b"), []byte("x"))
	r.want(t, http.StatusAccepted, sent)
	if states := glob(t, filepath.Join(o.Data, "docker/registry/v2/repositories/a/hashstates/b/_uploads/*/hashstates/sha256/1")); len(states) != 1 {
		t.Errorf("of an upload that goes on there are %v", states)
	}
}

// Manifests count before they are stored, so that those which are refused leave nothing behind.
func TestQuotaOfManifests(t *testing.T) {
	data := t.TempDir()
	r := serve(t, config.Options{Data: data, Limits: config.Limits{Quota: 1024}})
	a := r.pushBlob(t, "web", blobOf("a", 600))
	for i := range 3 {
		manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":600},"layers":[],"annotations":{"a":"%0300d"}}`, a, i)
		r.over(t, "web", "600B", r.do(t, http.MethodPut, "/v2/web/manifests/1", []byte(manifest)))
	}
	if blobs := glob(t, filepath.Join(data, "docker/registry/v2/blobs/sha256/*/*/data")); len(blobs) != 1 {
		t.Errorf("stored are %v", blobs)
	}
}

// A manifest that was damaged counts for what it takes once it is mended, in each namespace that has it.
func TestQuotaOfMendedManifest(t *testing.T) {
	o := config.Options{Data: t.TempDir(), Limits: config.Limits{Quota: 1024}}
	r := serve(t, o)
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[],"annotations":{"a":""}}`,
		manifestType, digest.FromString("{}"))
	manifest = bytes.Replace(manifest, []byte(`"a":""`), fmt.Appendf(nil, `"a":"%0*d"`, 400-len(manifest), 0), 1)
	for _, name := range []string{"web", "other"} {
		r.pushBlob(t, name, []byte("{}"))
		r.want(t, http.StatusCreated, r.do(t, http.MethodPut, "/v2/"+name+"/manifests/1", manifest))
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(o.Data, gc.BlobFile(digest.FromBytes(manifest))), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = serve(t, o)
	for _, name := range []string{"web", "other"} {
		r.pushBlob(t, name, blobOf("a", 300)) // so that it is counted
	}
	r.want(t, http.StatusCreated, r.do(t, http.MethodPut, "/v2/web/manifests/1", manifest))
	for _, name := range []string{"web", "other"} {
		r.over(t, name, "702B", r.stream(t, r.start(t, name), blobOf("b", 323)))
	}
}

// What is deleted counts until garbage collection removes it, also after a restart.
func TestQuotaAfterDelete(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "control")
	o := config.Options{Data: t.TempDir(), Limits: config.Limits{Quota: 1024}, Control: socket}
	r := serve(t, o)
	a := r.pushBlob(t, "web", blobOf("a", 1024))
	r.want(t, http.StatusAccepted, r.do(t, http.MethodDelete, "/v2/web/blobs/"+a, nil))
	r.over(t, "web", "1KiB", r.stream(t, r.start(t, "web"), []byte("b")))
	r.pushBlob(t, "other", blobOf("b", 1024)) // which has a quota of its own
	if err := r.end(); err != nil {
		t.Error(err)
	}
	r = serve(t, o)
	r.over(t, "web", "1KiB", r.stream(t, r.start(t, "web"), []byte("b")))
	if _, err := control.Collect(t.Context(), control.Dial(socket), collection(time.Minute)); err != nil {
		t.Fatal(err)
	}
	r.pushBlob(t, "web", blobOf("b", 1024))
}

// A namespace has only so many uploads open, with a quota or without; those that end make room.
func TestTooManyOpenUploads(t *testing.T) {
	for _, quota := range []int64{0, 1 << 20} {
		r := serve(t, config.Options{Limits: config.Limits{MaxOpenUploads: 2, Quota: quota}})
		first := r.start(t, "web/a")
		r.start(t, "web/b")
		r.refused(t, http.StatusTooManyRequests, "TOOMANYREQUESTS", "web has 2 uploads open, and may have no more: complete or cancel some; those that were broken off are removed after a day",
			r.do(t, http.MethodPost, "/v2/web/a/blobs/uploads/", nil))
		r.start(t, "other")
		r.want(t, http.StatusNoContent, r.do(t, http.MethodDelete, first, nil))
		r.pushBlob(t, "web/c", []byte("x"))
		r.pushBlob(t, "web/c", []byte("y"))
	}
}

// What garbage collection frees makes room at once.
func TestQuotaAfterCollection(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "control")
	r := serve(t, config.Options{Limits: config.Limits{Quota: 1024}, Control: socket})
	r.pushBlob(t, "web", blobOf("a", 1024))
	r.over(t, "web", "1KiB", r.stream(t, r.start(t, "web"), []byte("b")))
	if _, err := control.Collect(t.Context(), control.Dial(socket), collection(time.Minute)); err != nil {
		t.Fatal(err)
	}
	r.pushBlob(t, "web", blobOf("b", 1024))
}

// A damaged link to a blob that is called by another digest does not keep all of its namespace from being counted.
func TestQuotaWithDamagedLink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "docker/registry/v2/repositories/web/a/_layers/sha512", strings.Repeat("a", 128), "link")
	if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o755), os.WriteFile(link, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	r := serve(t, config.Options{Data: dir, Limits: config.Limits{Quota: 1 << 20}})
	r.pushBlob(t, "web/b", blobOf("b", 1024))
}

// Files and directories are limited with the bytes: tags and empty repositories take no byte of a quota, and fill a disk
// all the same.
func TestQuotaOfFiles(t *testing.T) {
	const allowed = 10000
	data := t.TempDir()
	for _, name := range []string{"tags", "names"} {
		for i := range allowed - 300 {
			if err := os.MkdirAll(filepath.Join(data, "docker/registry/v2/repositories", name, fmt.Sprint(i)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	o := config.Options{Data: data, Limits: config.Limits{Quota: 1024}}
	r := serve(t, o)
	full := func(name string, answer *http.Response) {
		t.Helper()
		r.refused(t, http.StatusRequestEntityTooLarge, "DENIED", name+" has the 10000 files and directories that its quota of 1KiB allows: delete tags and images there and have garbage collected, or ask who runs the registry for a larger quota", answer)
	}
	empty := r.pushBlob(t, "tags/a", []byte("{}"))
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[]}`, manifestType, empty)
	tag := func(i int) *http.Response {
		return r.do(t, http.MethodPut, fmt.Sprintf("/v2/tags/a/manifests/%d", i), manifest)
	}
	tags := 0
	answer := tag(tags)
	for ; answer.StatusCode == http.StatusCreated && tags < 300; answer = tag(tags) {
		tags++
	}
	full("tags", answer)
	if tags < 20 || tags > 300/7 { // each is seven files and directories
		t.Errorf("%d tags were accepted", tags)
	}
	r.want(t, http.StatusCreated, tag(0)) // which makes none

	deep := strings.Repeat("/a", 100)
	for i := range 2 {
		r.want(t, http.StatusNoContent, r.do(t, http.MethodDelete, r.start(t, fmt.Sprintf("names/b%d%s", i, deep)), nil))
	}
	full("names", r.do(t, http.MethodPost, "/v2/names/c"+deep+"/blobs/uploads/", nil))
	r.pushBlob(t, "other", []byte("x"))
	if err := r.end(); err != nil {
		t.Error(err)
	}
	r = serve(t, o) // which counts what it finds
	full("tags", tag(tags))
	full("names", r.do(t, http.MethodPost, "/v2/names/c"+deep+"/blobs/uploads/", nil))
}

// An upload that comes in many requests keeps one state of its digest, not one for each of them.
func TestStatesOfAnUpload(t *testing.T) {
	data := t.TempDir()
	r := serve(t, config.Options{Data: data})
	location := r.start(t, "web")
	for range 5 {
		sent := r.stream(t, location, []byte("a"))
		r.want(t, http.StatusAccepted, sent)
		location = sent.Header.Get("Location")
	}
	if states := glob(t, filepath.Join(data, "docker/registry/v2/repositories/web/_uploads/*/hashstates/sha256/*")); len(states) != 1 {
		t.Errorf("there are the states %v", states)
	}
	r.want(t, http.StatusCreated, r.do(t, http.MethodPut, location+"&digest="+digest.FromString("aaaaa").String(), nil))
}

// What is deleted leaves no directory that would count.
func TestDeletedLinksLeaveNoDirectory(t *testing.T) {
	data := t.TempDir()
	r := serve(t, config.Options{Data: data, Limits: config.Limits{Quota: 1 << 20}})
	blob := r.pushBlob(t, "web", []byte("x"))
	r.want(t, http.StatusAccepted, r.do(t, http.MethodDelete, "/v2/web/blobs/"+blob, nil))
	r.want(t, http.StatusNotFound, r.do(t, http.MethodDelete, "/v2/web/blobs/"+blob, nil))
	if left := glob(t, filepath.Join(data, "docker/registry/v2/repositories/web/_layers/sha256/*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A client that asks for all tags gets a thousand of them, and where it goes on.
func TestTagsComeInPages(t *testing.T) {
	data := t.TempDir()
	for i := range 1500 {
		if err := os.MkdirAll(filepath.Join(data, "docker/registry/v2/repositories/web/_manifests/tags", fmt.Sprintf("%04d", i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := serve(t, config.Options{Data: data})
	for _, page := range []struct {
		path, first, last string
		more              bool
	}{
		{"/v2/web/tags/list", `"0000"`, `"0999"`, true},
		{"/v2/web/tags/list?last=0999", `"1000"`, `"1499"`, false},
		{"/v2/web/tags/list?n=1200", `"0000"`, `"0999"`, true},
	} {
		answer := r.do(t, http.MethodGet, page.path, nil)
		tags := r.want(t, http.StatusOK, answer)
		if !strings.Contains(tags, "["+page.first+",") || !strings.Contains(tags, ","+page.last+"]") || (answer.Header.Get("Link") != "") != page.more {
			t.Errorf("%s: %.100s…, Link %q", page.path, tags, answer.Header.Get("Link"))
		}
	}
}
