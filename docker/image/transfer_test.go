package image

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// refusing answers the first requests of one kind with a status, after reading their bodies.
func refusing(method, path string, status int, body string, times int32) func(http.Handler) http.Handler {
	var seen atomic.Int32
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != method || !strings.Contains(r.URL.Path, path) || seen.Add(1) > times {
				next.ServeHTTP(w, r)
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
}

// smallImage is an archive whose layer is uploaded in one request.
func smallImage(t *testing.T) Reference {
	t.Helper()
	file := filepath.Join(t.TempDir(), "saved.tar")
	write(t, file, savedImage(t, layerTar(t, "small")))
	return Reference{Transport: DockerArchive, Path: file}
}

func pushTo(t *testing.T, transports Transports, from Reference, at string) error {
	t.Helper()
	source, err := transports.Find(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	_, err = transports.Store(t.Context(), source, Reference{Transport: Registry, Name: at}, io.Discard)
	return err
}

// TestRefusedUpload: a blob or manifest refused with a temporary status is sent again. If that repeats, the error
// names the status.
func TestRefusedUpload(t *testing.T) {
	t.Parallel()
	for _, refused := range []struct {
		method, path string
		status       int
		body         string
	}{
		{http.MethodPatch, "/blobs/", http.StatusBadGateway, "<html>Bad Gateway</html>"},
		{http.MethodPatch, "/blobs/", http.StatusTooManyRequests, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`},
		{http.MethodPut, "/blobs/", http.StatusBadGateway, "<html>Bad Gateway</html>"},
		{http.MethodPut, "/blobs/", http.StatusTooManyRequests, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`},
		{http.MethodPut, "/manifests/", http.StatusBadGateway, "<html>Bad Gateway</html>"},
		{http.MethodPut, "/manifests/", http.StatusTooManyRequests, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`},
	} {
		t.Run(fmt.Sprint(refused.method, refused.path, refused.status), func(t *testing.T) {
			t.Parallel()
			at := newRegistry(t, refusing(refused.method, refused.path, refused.status, refused.body, 1)) + "/site/web:1"
			transports := newTransports(t)
			transports.Retries = 2
			if err := pushTo(t, transports, smallImage(t), at); err != nil {
				t.Errorf("refused once: %v", err)
			} else if err := pushed(t, at); err != nil {
				t.Errorf("pushed, but: %v", err)
			}
			at = newRegistry(t, refusing(refused.method, refused.path, refused.status, refused.body, 1<<30)) + "/site/web:1"
			transports.Retries = 0
			want := fmt.Sprintf("%d %s", refused.status, http.StatusText(refused.status))
			if err := pushTo(t, transports, smallImage(t), at); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("refused each time: error %v, want %q", err, want)
			}
		})
	}
}

// breaking cuts off the first answers with a blob in the middle.
type breaking struct {
	times  int32
	status int    // of an answer to a request for a part; 0 for the registry's own
	ranges string // Content-Range of that
	whole  bool   // whether ranges are unknown

	seen, parts atomic.Int32
}

func (b *breaking) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			next.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		part := r.Header.Get("Range") != ""
		if part {
			b.parts.Add(1)
		}
		if b.whole {
			r.Header.Del("Range")
		}
		if next.ServeHTTP(answer, r); answer.Body.Len() < 1<<20 && !part {
			b.write(w, answer, answer.Body.Len())
			return
		}
		if part && b.status != 0 {
			w.Header().Set("Content-Range", b.ranges)
			w.WriteHeader(b.status)
			_, _ = w.Write(answer.Body.Bytes())
			return
		}
		if b.seen.Add(1) <= b.times {
			b.write(w, answer, answer.Body.Len()/2)
			cutOff(w)
			return
		}
		b.write(w, answer, answer.Body.Len())
	})
}

func (b *breaking) write(w http.ResponseWriter, answer *httptest.ResponseRecorder, n int) {
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", fmt.Sprint(answer.Body.Len()))
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()[:n])
}

func cutOff(w http.ResponseWriter) {
	_ = http.NewResponseController(w).Flush()
	if connection, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = connection.(*net.TCPConn).SetLinger(0)
		_ = connection.Close()
	}
}

// TestDownloadBreaks: a broken download is resumed, as often as --retries allows.
func TestDownloadBreaks(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		breaking *breaking
		retries  int
		want     string // in the error; empty for success
	}{
		"once":          {&breaking{times: 1}, 2, ""},
		"twice":         {&breaking{times: 2}, 2, ""},
		"no retries":    {&breaking{times: 1}, 0, "bytes"},
		"each time":     {&breaking{times: 1 << 30}, 2, "after"},
		"no ranges":     {&breaking{times: 1, whole: true}, 2, ""},
		"too little":    {&breaking{times: 1, status: http.StatusOK}, 2, "after"}, // answers with a part, and says it is all
		"other range":   {&breaking{times: 1, status: http.StatusPartialContent, ranges: "bytes 0-1/2"}, 2, "after"},
		"damaged range": {&breaking{times: 1, status: http.StatusPartialContent, ranges: "nonsense"}, 2, "after"},
		"link expired":  {&breaking{times: 1, status: http.StatusForbidden}, 2, "403 Forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := newRegistry(t, one.breaking.handler) + "/site/web:1"
			image := imageOf(t, "amd64", gzipped(t, noise(2<<20)))
			push(t, at, image)
			transports := newTransports(t)
			transports.Registry.Remote = Remote("ndock/test", t.TempDir(), false, one.retries, nil)
			metadata, err := readBy(t.Context(), transports, "docker://"+at, (*Source).Archive)
			switch {
			case one.want == "" && err != nil:
				t.Error(err)
			case one.want != "" && (err == nil || !strings.Contains(err.Error(), one.want)):
				t.Errorf("error %v, want %q", err, one.want)
			}
			if id, _ := image.ConfigName(); err == nil && metadata.ID != id.String() {
				t.Errorf("%s was read, not %s", metadata.ID, id)
			}
			if got := int(one.breaking.parts.Load()); got > one.retries || one.want == "" && got == 0 {
				t.Errorf("%d requests for a part", got)
			}
		})
	}
}

// storage has blobs to which a registry redirects. A link is valid until a download breaks.
type storage struct {
	*httptest.Server
	blobs http.Handler
	links atomic.Int32
	broke atomic.Bool     // a download
	used  map[string]bool // by link; a test asks for one blob at a time
	known string          // Authorization that came
}

func newStorage(t *testing.T) *storage {
	s := &storage{used: map[string]bool{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.known += r.Header.Get("Authorization")
	link := r.URL.Query().Get("X-Amz-Signature")
	if s.used[link] {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
		return
	}
	answer := httptest.NewRecorder()
	s.blobs.ServeHTTP(answer, r)
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	if answer.Body.Len() < 1<<20 || r.Header.Get("Range") != "" && len(s.used) > 1 {
		_, _ = w.Write(answer.Body.Bytes())
		return
	}
	s.used[link] = true
	s.broke.Store(true)
	_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
	cutOff(w)
}

// redirects is a registry whose blobs are in the storage.
func (s *storage) redirects(next http.Handler) http.Handler {
	s.blobs = next
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			next.ServeHTTP(w, r)
			return
		}
		http.Redirect(w, r, fmt.Sprintf("%s%s?X-Amz-Signature=secret%d", s.URL, r.URL.Path, s.links.Add(1)), http.StatusTemporaryRedirect)
	})
}

// TestExpiredLink: a download whose link has expired is resumed with a new link. The storage receives no login.
func TestExpiredLink(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	login := bearer(challenge, `{"token":"t%d"}`, "")
	at := newRegistry(t, func(next http.Handler) http.Handler { return login(s.redirects(next)) }) + "/site/web:1"
	image := imageOf(t, "amd64", gzipped(t, noise(2<<20)))
	push(t, at, image)
	transports := newTransports(t)
	transports.Registry.Remote = Remote("ndock/test", t.TempDir(), false, 2, nil)
	if metadata, err := read(t.Context(), transports, "docker://"+at); err != nil {
		t.Error(err)
	} else if id, _ := image.ConfigName(); metadata.ID != id.String() {
		t.Errorf("%s was read, not %s", metadata.ID, id)
	}
	if len(s.used) == 0 || s.known != "" {
		t.Errorf("%d downloads broke, and the storage knows %q", len(s.used), s.known)
	}
}

// TestRetryAfter: the next request to a host waits as Retry-After says, up to a limit. Requests to other hosts do not
// wait.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "999999999": maxRetryAfter, "-5": 0, "soon": 0, "": 0, "99999999999999999999": maxRetryAfter,
		"Mon, 02 Jan 2006 15:04:05 GMT": 0, "Fri, 31 Dec 9999 23:59:59 GMT": maxRetryAfter,
	} {
		for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
			var waited time.Duration
			limiter := newRateLimiter(answering(status, value))
			limiter.wait = func(_ context.Context, pause time.Duration) error { waited = pause; return nil }
			for _, address := range []string{"http://one.example/v2/", "http://two.example/v2/"} {
				if err := get(&http.Client{Transport: limiter}, address); err != nil {
					t.Fatal(err)
				}
			}
			if waited != 0 {
				t.Errorf("%q: another host's request waited for %s", value, waited)
			}
			if err := get(&http.Client{Transport: limiter}, "http://one.example/v2/"); err != nil {
				t.Fatal(err)
			}
			if waited > want || waited < want-time.Second {
				t.Errorf("%d %q: waited for %s, want %s", status, value, waited, want)
			}
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answering(status int, retryAfter string) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {retryAfter}}, Body: http.NoBody, Request: r}, nil
	})
}

// TestRetryAfterInterrupted: the wait ends with the context.
func TestRetryAfterInterrupted(t *testing.T) {
	t.Parallel()
	limiter := newRateLimiter(answering(http.StatusTooManyRequests, "60"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://one.example/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := limiter.RoundTrip(request); err != nil {
		t.Fatal(err)
	}
	if _, err := limiter.RoundTrip(request); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// aborting aborts the stream of the first answer with a blob, and that of the first upload.
func aborting(next http.Handler) http.Handler {
	var uploads, downloads atomic.Int32
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			http.Error(w, "this is no HTTP/2", http.StatusHTTPVersionNotSupported)
			return
		}
		if r.Method == http.MethodPatch && uploads.Add(1) == 1 {
			_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
			panic(http.ErrAbortHandler)
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		if r.Method == http.MethodGet && answer.Body.Len() > 1<<20 && downloads.Add(1) == 1 {
			_, _ = w.Write(answer.Body.Bytes()[:1<<20])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// newTLSRegistry starts a registry with HTTP/2 and returns the directory of its certificate. handle wraps its
// handler.
func newTLSRegistry(t *testing.T, handle func(http.Handler) http.Handler) (host, certs string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handle(registry.New(registry.Logger(log.New(io.Discard, "", 0)))))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	host, certs = strings.TrimPrefix(server.URL, "https://"), t.TempDir()
	if err := os.Mkdir(filepath.Join(certs, host), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(certs, host, "ca.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return host, certs
}

// TestHTTP2: an aborted HTTP/2 stream is retried or resumed, as a broken HTTP/1.1 connection is.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	for kind, from := range sources(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			host, certs := newTLSRegistry(t, aborting)
			transports := newTransports(t)
			transports.Retries, transports.Registry.Remote = 2, Remote("ndock/test", certs, false, 2, nil)
			if err := pushTo(t, transports, from, host+"/site/web:1"); err != nil {
				t.Fatal(err)
			}
			if _, err := read(t.Context(), transports, "docker://"+host+"/site/web:1"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestBothEndsBreak: a copy between registries survives a broken download and a failed upload.
func TestBothEndsBreak(t *testing.T) {
	t.Parallel()
	for failure, fail := range failures {
		t.Run(failure, func(t *testing.T) {
			t.Parallel()
			source := &breaking{times: 1}
			from := newRegistry(t, source.handler) + "/site/web:1"
			push(t, from, imageOf(t, "amd64", gzipped(t, noise(2<<20))))
			at := newRegistry(t, failing(fail, 1)) + "/site/web:1"
			transports := newTransports(t)
			transports.Retries, transports.Registry.Remote = 2, Remote("ndock/test", t.TempDir(), false, 2, nil)
			if err := pushTo(t, transports, Reference{Transport: Registry, Name: from}, at); err != nil {
				t.Fatal(err)
			}
			if err := pushed(t, at); err != nil {
				t.Errorf("pushed, but: %v", err)
			}
			if source.seen.Load() == 0 {
				t.Error("no download broke")
			}
		})
	}
}

// TestLinkIsASecret: errors do not contain a link to storage, and logins are not sent there.
func TestLinkIsASecret(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(*storage){
		"away":    func(s *storage) { s.Close() },
		"refuses": func(s *storage) { s.used["secret1"], s.used["secret2"], s.used["secret3"] = true, true, true },
		"breaks":  func(*storage) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStorage(t)
			at := newRegistry(t, s.redirects) + "/site/web:1"
			push(t, at, imageOf(t, "amd64", gzipped(t, noise(2<<20))))
			broken(s)
			err := copyTo(t, newTransports(t), "docker://"+at, "docker-archive:"+filepath.Join(t.TempDir(), "out.tar"))
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestExpiredLogin: a download whose token has expired is resumed with a new one, with and without a link to storage.
func TestExpiredLogin(t *testing.T) {
	t.Parallel()
	for name, storing := range map[string]bool{"in a storage": true, "in the registry": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, download := newStorage(t), &breaking{times: 1}
			at := newRegistry(t, func(next http.Handler) http.Handler {
				blobs := download.handler(next)
				if storing {
					blobs = s.redirects(next)
				}
				return expiring(blobs, func() bool { return s.broke.Load() || download.seen.Load() > 0 })
			}) + "/site/web:1"
			push(t, at, imageOf(t, "amd64", gzipped(t, noise(2<<20))))
			transports := newTransports(t)
			transports.Registry.Remote = Remote("ndock/test", t.TempDir(), false, 2, nil)
			if _, err := read(t.Context(), transports, "docker://"+at); err != nil {
				t.Error(err)
			}
			if s.known != "" {
				t.Errorf("the storage knows %q", s.known)
			}
		})
	}
}

// expiring is a registry whose tokens expire when a download breaks. Tokens issued after that are valid.
func expiring(next http.Handler, broken func() bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := "old"
		if broken() {
			token = "new"
		}
		switch {
		case r.URL.Path == "/token":
			fmt.Fprintf(w, `{"token":%q}`, token)
		case r.Header.Get("Authorization") == "Bearer "+token:
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("WWW-Authenticate", strings.ReplaceAll(challenge, "HOST", r.Host))
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
}
