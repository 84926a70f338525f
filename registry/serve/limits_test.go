package serve

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/opencontainers/go-digest"

	"ndock/registry/auth/htpasswd"
	"ndock/registry/config"
	"ndock/registry/internal/registrytest"
	"ndock/registry/storage"
)

// refused checks what a client is told, in the form that clients know.
func (r *served) refused(t *testing.T, status int, code, message string, answer *http.Response) {
	t.Helper()
	body := r.want(t, status, answer)
	if want := fmt.Sprintf(`{"errors":[{"code":%q,"message":%q}]}`, code, message); strings.TrimSpace(body) != want {
		t.Errorf("answer is %s, want %s", body, want)
	}
}

// start begins an upload, and returns where its bytes go.
func (r *served) start(t *testing.T, name string) string {
	t.Helper()
	started := r.do(t, http.MethodPost, "/v2/"+name+"/blobs/uploads/", nil)
	r.want(t, http.StatusAccepted, started)
	return started.Header.Get("Location")
}

// stream sends bytes without saying how many, as docker does.
func (r *served) stream(t *testing.T, location string, content []byte) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, location, io.MultiReader(bytes.NewReader(content)))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := r.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestBlobTooLarge(t *testing.T) {
	const message = "the registry takes no layers of more than 1KiB"
	data := t.TempDir()
	r := serve(t, config.Options{Data: data, Limits: config.Limits{MaxBlobSize: 1024}})
	r.pushBlob(t, "app", make([]byte, 1024))
	r.refused(t, http.StatusRequestEntityTooLarge, "DENIED", message, r.do(t, http.MethodPut, r.start(t, "app")+"&digest=sha256:"+strings.Repeat("0", 64), make([]byte, 1025)))
	r.refused(t, http.StatusRequestEntityTooLarge, "DENIED", message, r.stream(t, r.start(t, "app"), make([]byte, 9000)))
	first := r.stream(t, r.start(t, "app"), make([]byte, 1000))
	r.want(t, http.StatusAccepted, first)
	r.refused(t, http.StatusRequestEntityTooLarge, "DENIED", message, r.stream(t, first.Header.Get("Location"), make([]byte, 25)))
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(data, "docker/registry/v2/repositories/app/_uploads/*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Who may not push is told that, and removes nothing, whatever the path.
func TestTooLargeFromStranger(t *testing.T) {
	data := t.TempDir()
	ci, err := htpasswd.New("ci", "secret")
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, config.Options{Data: data, Limits: config.Limits{MaxBlobSize: 1024}, Htpasswd: registrytest.Write(t, ci.Line())})
	r.user, r.password = "ci", "secret"
	r.pushBlob(t, "app", []byte("x"))
	begun := r.start(t, "app")
	uploads := filepath.Join(data, "docker/registry/v2/repositories/app/_uploads")
	before, _ := filepath.Glob(uploads + "/*")
	r.user = ""
	r.want(t, http.StatusUnauthorized, r.do(t, http.MethodPatch, begun, make([]byte, 5000)))
	for _, path := range []string{"/v2/app/blobs/uploads/..", "/v2/app/../app/blobs/uploads/%2e%2e", "/v2/x/../../app/blobs/uploads/."} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: registry\r\nContent-Length: 5000\r\nConnection: close\r\n\r\n%s", path, make([]byte, 5000))
		io.Copy(io.Discard, conn)
		conn.Close()
	}
	if after, _ := filepath.Glob(uploads + "/*"); len(before) != 1 || len(after) != 1 {
		t.Errorf("there were %v, and now %v", before, after)
	}
}

func TestUploadsAreNamed(t *testing.T) {
	const id = "01a21647-5620-78c6-bdcc-342172eba0cf"
	for path, want := range map[string]bool{
		"/v2/site/app/blobs/uploads/" + id:       true,
		"/v2/site/app/blobs/uploads/..":          false,
		"/v2/site/../../app/blobs/uploads/" + id: false,
		"/v2/site/app/blobs/uploads/":            false,
		"/v2/site/app/blobs/" + id:               false,
	} {
		if got := parseRoute("", path).upload(); got != want {
			t.Errorf("%s: %t", path, got)
		}
	}
}

func TestManifestTooLarge(t *testing.T) {
	r := serve(t, config.Options{})
	r.refused(t, http.StatusRequestEntityTooLarge, "DENIED", "the registry takes no manifests of more than 4MiB",
		r.do(t, http.MethodPut, "/v2/app/manifests/1", make([]byte, 4<<20+1)))
}

func TestTooManyUploads(t *testing.T) {
	r := serve(t, config.Options{Limits: config.Limits{MaxUploads: 1}, Metrics: "127.0.0.1:0"})
	second := r.start(t, "app")
	first := r.upload(t, 1)
	r.until(t, "ndock_registry_uploads 1")
	answer := r.stream(t, second, []byte("x"))
	if got := answer.Header.Get("Retry-After"); got != "10" {
		t.Errorf("Retry-After is %q", got)
	}
	r.refused(t, http.StatusTooManyRequests, "TOOMANYREQUESTS", "the registry takes no more uploads at a time: try again later", answer)
	fmt.Fprint(first, "x")
	first.Close()
	r.until(t, "ndock_registry_uploads 0")
	r.want(t, http.StatusAccepted, r.stream(t, second, []byte("x")))
}

// While a request sends bytes to an upload no other one may, and none may complete it: bytes would come into a blob that
// others have. The upload is as it was afterwards.
func TestOneRequestAtATimeWritesAnUpload(t *testing.T) {
	const message = "another request is sending to this upload: wait until it has ended"
	r := serve(t, config.Options{Metrics: "127.0.0.1:0"})
	location := r.start(t, "app")
	conn, host := r.dial(t), strings.TrimPrefix(r.url, "http://")
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", strings.TrimPrefix(location, r.url), host)
	r.until(t, "ndock_registry_received_bytes_total 1")
	empty := digest.FromString("").String()
	r.refused(t, http.StatusConflict, "BLOB_UPLOAD_INVALID", message, r.stream(t, location, []byte("b")))
	r.refused(t, http.StatusConflict, "BLOB_UPLOAD_INVALID", message, r.do(t, http.MethodPut, location+"&digest="+empty, nil))
	fmt.Fprint(conn, "1\r\nb\r\n0\r\n\r\n")
	sent := readAnswer(t, bufio.NewReader(conn))
	if sent.StatusCode != http.StatusAccepted {
		t.Fatalf("the first is answered %s", sent.Status)
	}
	blob := digest.FromString("abc").String()
	r.want(t, http.StatusCreated, r.do(t, http.MethodPut, sent.Header.Get("Location")+"&digest="+blob, []byte("c")))
	if got := r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/app/blobs/"+blob, nil)); got != "abc" {
		t.Errorf("the blob is %q", got)
	}
}

// until waits for a line of the metrics.
func (r *served) until(t *testing.T, line string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got := r.want(t, http.StatusOK, r.do(t, http.MethodGet, r.aside+"/metrics", nil))
		if strings.Contains("\n"+got, "\n"+line+"\n") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %q in\n%s", line, got)
		}
	}
}

// A client that sends nothing is told so in the end; one whose storage is slow is not.
func TestStalled(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	storage, err := storage.New(&configuration.Configuration{}, 0, 1, log)
	if err != nil {
		t.Fatal(err)
	}
	l := &limits{stall: 200 * time.Millisecond, store: storage, log: log}
	server := httptest.NewServer(l.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})))
	defer server.Close()
	read, write := io.Pipe()
	defer write.Close()
	go fmt.Fprint(write, "x")
	answer, err := http.Post(server.URL+"/v2/app/blobs/uploads/", "", read)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(body), "nothing came for") {
		t.Errorf("%s: %s", answer.Status, body)
	}
}

// A full disk is told to the client, takes back what the upload took, and lets others pull.
func TestStorageIsFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skip("only root can make a small disk: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	r := serve(t, config.Options{Data: dir, Metrics: "127.0.0.1:0"})
	small := r.pushBlob(t, "app", make([]byte, 1<<20))
	before := free(t, dir)
	for range 2 {
		r.refused(t, http.StatusRequestEntityTooLarge, "DENIED", errNoSpace.Message, r.stream(t, r.start(t, "app"), make([]byte, 32<<20)))
		r.refused(t, http.StatusRequestEntityTooLarge, "DENIED", errNoSpace.Message, r.do(t, http.MethodPut, r.start(t, "app")+"&digest=sha256:"+strings.Repeat("0", 64), make([]byte, 32<<20)))
	}
	r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/app/blobs/"+small, nil))
	for deadline := time.Now().Add(10 * time.Second); free(t, dir)+16 < before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d blocks were free, now %d", before, free(t, dir))
		}
	}
	hog := filepath.Join(dir, "hog")
	if err := os.WriteFile(hog, make([]byte, 32<<20), 0o600); err == nil {
		t.Fatal("the disk has no end")
	}
	r.refused(t, http.StatusRequestEntityTooLarge, "DENIED", errNoSpace.Message, r.do(t, http.MethodPost, "/v2/app/blobs/uploads/", nil))
	if got := r.want(t, http.StatusServiceUnavailable, r.do(t, http.MethodGet, r.aside+"/healthz", nil)); !strings.Contains(got, "no space left on device") {
		t.Errorf("health is %q", got)
	}
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	r.pushBlob(t, "app", []byte("there is room again"))
	r.want(t, http.StatusOK, r.do(t, http.MethodGet, r.aside+"/healthz", nil))
	r.end()
}

func free(t *testing.T, dir string) uint64 {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return s.Bfree
}

// What a client says of its upload is never taken for room.
func FuzzUploaded(f *testing.F) {
	f.Add(strings.Repeat("A", 43) + "eyJPZmZzZXQiOi01fQ==")
	f.Add(base64.URLEncoding.EncodeToString(append(make([]byte, 32), `{"Offset":-5}`...)))
	f.Add("%zz;")
	f.Fuzz(func(t *testing.T, state string) {
		r := &http.Request{URL: &url.URL{RawQuery: "_state=" + state}}
		if got := uploaded(r); got < 0 {
			t.Errorf("%q: %d", state, got)
		}
	})
}
