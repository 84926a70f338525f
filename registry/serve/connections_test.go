package serve

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ndock/registry/auth/htpasswd"
	"ndock/registry/config"
	"ndock/registry/internal/pkitest"
	"ndock/registry/internal/registrytest"
)

// short are timeouts that a test can wait for, and a slow client on a busy machine keeps.
var short = config.Timeouts{Header: time.Second, Idle: time.Second, Stall: 3 * time.Second}

// serveWithLogin serves a registry that one user may use.
func serveWithLogin(t *testing.T, o config.Options) *served {
	t.Helper()
	ci, err := htpasswd.New("ci", "secret")
	if err != nil {
		t.Fatal(err)
	}
	o.Htpasswd = registrytest.Write(t, ci.Line())
	r := serve(t, o)
	r.user, r.password = "ci", "secret"
	return r
}

// dial opens a connection that ends with the test. What hangs fails it.
func (r *served) dial(t *testing.T) net.Conn {
	t.Helper()
	_, at, _ := strings.Cut(r.url, "://")
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

func readAnswer(t *testing.T, from *bufio.Reader) *http.Response {
	t.Helper()
	answer, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

// letGo waits until the registry has closed a connection.
func letGo(t *testing.T, what string, conn net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, conn)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Errorf("%s stays connected", what)
	}
}

const multipart = "Content-Type: multipart/form-data; boundary=b\r\n"

// formOf is a multipart form with a file in it of that size.
func formOf(size int) []byte {
	form := []byte("--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n")
	return append(append(form, bytes.Repeat([]byte("x"), size)...), "\r\n--b--\r\n"...)
}

// Nothing of a body is read, or kept anywhere, before the login is known, whatever the path and the method.
func TestBodyOfStrangerIsNotRead(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	r := serveWithLogin(t, config.Options{})
	const id = "01a21647-5620-78c6-bdcc-342172eba0cf"
	asked := map[string]net.Conn{}
	for _, path := range []string{
		"POST /v2/app/blobs/uploads/", "POST /v2/app/blobs/uploads/?from=other&mount=sha256:" + strings.Repeat("0", 64),
		"PATCH /v2/app/blobs/uploads/" + id, "PUT /v2/app/blobs/uploads/" + id + "?digest=x", "PUT /v2/app/manifests/1",
		"POST /v2/app/manifests/1", "POST /v2/_catalog", "POST /v2/", "DELETE /v2/app/manifests/1", "GET /v2/app/tags/list",
	} {
		for _, length := range []string{"Content-Length: 100\r\n", "Content-Length: 500000000\r\n", "Transfer-Encoding: chunked\r\n"} {
			conn := r.dial(t)
			fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: registry\r\n%s%s\r\n", path, multipart, length) // and no body
			answer := readAnswer(t, bufio.NewReader(conn))
			if answer.StatusCode != http.StatusUnauthorized && answer.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s: %s", path, answer.Status)
			}
			asked[path+" "+length] = conn
		}
	}
	for what, conn := range asked {
		letGo(t, what, conn)
	}
	r.user = ""
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v2/app/blobs/uploads/", bytes.NewReader(formOf(48<<20)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	if answer, err := r.client.Do(request); err == nil { // or else the connection was closed first
		r.want(t, http.StatusUnauthorized, answer)
	}
	nothingIn(t, os.TempDir())
}

// Who is logged in has no form read, either.
func TestMultipartFormIsNotKept(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	r := serveWithLogin(t, config.Options{})
	conn := r.dial(t)
	fmt.Fprintf(conn, "POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: registry\r\nAuthorization: Basic Y2k6c2VjcmV0\r\n%sContent-Length: 500000000\r\n\r\n", multipart)
	go conn.Write(formOf(48 << 20)) // until the registry closes
	if answer := readAnswer(t, bufio.NewReader(conn)); answer.StatusCode != http.StatusAccepted {
		t.Errorf("answered %s", answer.Status)
	}
	nothingIn(t, os.TempDir())
}

func nothingIn(t *testing.T, dir string) {
	t.Helper()
	if left := glob(t, filepath.Join(dir, "multipart-*")); len(left) > 0 {
		t.Errorf("left in the directory for temporary files: %v", left)
	}
}

// A client that asks first whether its body is wanted is told by the answer.
func TestExpectContinue(t *testing.T) {
	r := serveWithLogin(t, config.Options{})
	location := strings.TrimPrefix(r.start(t, "app"), r.url)
	ask := func(login string) *http.Response {
		conn := r.dial(t)
		fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: registry\r\n%sExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", location, login)
		from := bufio.NewReader(conn)
		answer := readAnswer(t, from)
		if answer.StatusCode == http.StatusContinue {
			fmt.Fprint(conn, "x")
			answer = readAnswer(t, from)
		}
		return answer
	}
	if got := ask(""); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger is answered %s", got.Status)
	}
	if got := ask("Authorization: Basic Y2k6c2VjcmV0\r\n"); got.StatusCode != http.StatusAccepted {
		t.Errorf("a user is answered %s", got.Status)
	}
}

// Clients that do nothing are let go, wherever they stop; who goes on slowly meanwhile is served.
func TestStalledClientsAreLetGo(t *testing.T) {
	r := serveWithLogin(t, config.Options{Timeouts: short, Metrics: "127.0.0.1:0"})
	location := strings.TrimPrefix(r.start(t, "app"), r.url)
	login := "Authorization: Basic Y2k6c2VjcmV0\r\n"
	end := r.sendSlowly(t, location, login)
	conns := map[string]net.Conn{}
	for what, words := range map[string]string{
		"nothing":         "",
		"half a header":   "GET /v2/ HT",
		"an idle one":     "GET /v2/ HTTP/1.1\r\nHost: registry\r\n\r\n",
		"half a body":     "POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: registry\r\nContent-Length: 100\r\n\r\nx",
		"half a chunk":    "POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: registry\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx",
		"half a manifest": "PUT /v2/app/manifests/1 HTTP/1.1\r\nHost: registry\r\n" + login + "Content-Length: 100\r\n\r\nx",
		"an unread body":  "GET /v2/ HTTP/1.1\r\nHost: registry\r\n" + login + "Content-Length: 100\r\n\r\nx",
	} {
		conns[what] = r.dial(t)
		fmt.Fprint(conns[what], words)
	}
	for what, conn := range conns {
		letGo(t, what, conn)
	}
	aside, err := net.Dial("tcp", strings.TrimPrefix(r.aside, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	aside.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(aside, "GET /healthz HTTP/1.1\r\nHost: registry\r\nContent-Length: 100\r\n\r\nx")
	letGo(t, "one at the metrics", aside)
	if answer := end(); answer.StatusCode != http.StatusAccepted {
		t.Errorf("the slow one is answered %s", answer.Status)
	}
}

// sendSlowly sends a body byte by byte, until it is told to end it.
func (r *served) sendSlowly(t *testing.T, location, login string) (end func() *http.Response) {
	t.Helper()
	conn := r.dial(t)
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: registry\r\n%sTransfer-Encoding: chunked\r\n\r\n", location, login)
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for tick := time.Tick(20 * time.Millisecond); ; {
			select {
			case <-tick:
				fmt.Fprint(conn, "1\r\nx\r\n")
			case <-done:
				fmt.Fprint(conn, "0\r\n\r\n")
				return
			}
		}
	}()
	return func() *http.Response {
		close(done)
		<-stopped
		return readAnswer(t, bufio.NewReader(conn))
	}
}

// An upload over HTTP/2 takes as long as it takes, while some of it comes.
func TestSlowUploadOverHTTP2(t *testing.T) {
	pair := pkitest.ServerPair(t, time.Now())
	r := serve(t, config.Options{Timeouts: short, CertFile: registrytest.Write(t, pair.Cert), KeyFile: registrytest.Write(t, pair.Key)})
	r.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	location := r.start(t, "app")
	body, to := io.Pipe()
	go func() {
		defer to.Close()
		for end := time.Now().Add(2 * short.Stall); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			fmt.Fprint(to, "x")
		}
	}()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, location, body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := r.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if r.want(t, http.StatusAccepted, answer); answer.ProtoMajor != 2 {
		t.Errorf("it came over %s", answer.Proto)
	}
}

// A client that does not take its answer is let go.
func TestStalledReaderIsLetGo(t *testing.T) {
	r := serve(t, config.Options{Timeouts: short, Metrics: "127.0.0.1:0"})
	digest := r.pushBlob(t, "app", make([]byte, 32<<20))
	conn := r.dial(t)
	conn.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(conn, "GET /v2/app/blobs/%s HTTP/1.1\r\nHost: registry\r\n\r\n", digest)
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(r.want(t, http.StatusOK, r.do(t, http.MethodGet, r.aside+"/metrics", nil)), `method="GET",status="200"`); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the request has not ended")
		}
	}
}

func TestStalledHandshakeIsLetGo(t *testing.T) {
	pair := pkitest.ServerPair(t, time.Now())
	r := serve(t, config.Options{Timeouts: short, CertFile: registrytest.Write(t, pair.Cert), KeyFile: registrytest.Write(t, pair.Key)})
	letGo(t, "a client that says nothing", r.dial(t))
	half := r.dial(t)
	half.Write([]byte{22, 3, 1, 2, 0, 1})
	letGo(t, "half a handshake", half)
	conn := tls.Client(r.dial(t), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := conn.HandshakeContext(t.Context()); err != nil || conn.ConnectionState().NegotiatedProtocol != "h2" {
		t.Fatalf("no HTTP/2: %v", err)
	}
	fmt.Fprint(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	letGo(t, "an idle HTTP/2 client", conn)
}

// Connections beyond the limits are closed at once; there is room again when others have ended.
func TestTooManyConnections(t *testing.T) {
	for what, o := range map[string]config.Options{"in all": {Limits: config.Limits{MaxConnections: 2, MaxConnectionsPerClient: 5}}, "of one client": {Limits: config.Limits{MaxConnectionsPerClient: 2}}} {
		r := serve(t, o)
		r.client.Transport = &http.Transport{DisableKeepAlives: true}
		first, second := r.dial(t), r.dial(t)
		for _, conn := range []net.Conn{first, second} { // both are served
			fmt.Fprint(conn, "GET /v2/ HTTP/1.1\r\nHost: registry\r\n\r\n")
			readAnswer(t, bufio.NewReader(conn))
		}
		if answer, err := r.client.Get(r.url + "/v2/"); err == nil {
			answer.Body.Close()
			t.Errorf("%s: a third is answered %s", what, answer.Status)
		}
		first.Close()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			answer, err := r.client.Get(r.url + "/v2/")
			if err == nil {
				answer.Body.Close()
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: there is no room again: %v", what, err)
			}
		}
		r.end()
		if log := r.log.String(); !strings.Contains(log, "too many connections") {
			t.Errorf("%s: the log is %s", what, log)
		}
	}
}
