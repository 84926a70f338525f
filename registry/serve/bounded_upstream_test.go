package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/distribution/v3"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"ndock/docker/transfer"
	"ndock/registry/config"
)

// An upstream that does not answer, or stops in the middle, does not hold what asks it.
func TestUpstreamThatStalls(t *testing.T) {
	end := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			w.Header().Set("Content-Length", "9")
			fmt.Fprint(w, "half")
			w.(http.Flusher).Flush()
		}
		<-end
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(end) })
	short := 200 * time.Millisecond
	for path, times := range map[string]upstreamTimes{
		"/none": {answer: short, stall: time.Hour}, "/half": {answer: time.Hour, stall: short}, "/v2/": {ping: short},
	} {
		ctx := t.Context()
		if path != "/v2/" {
			ctx, _ = (&upstream{}).startRequest(ctx, "")
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := newBoundedUpstream(&http.Transport{}, times).RoundTrip(request)
		if err == nil {
			var got []byte
			if got, err = io.ReadAll(answer.Body); string(got) != "half" {
				t.Errorf("%s: %q came", path, got)
			}
			answer.Body.Close()
		}
		var stalled *transfer.IdleError
		var late interface{ Timeout() bool }
		if !errors.As(err, &late) || !late.Timeout() || errors.As(err, &stalled) != (path == "/half") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Who waits for an upstream behind others that waited in vain, does not wait for the same.
func TestUpstreamIsNotAskedByEachInTurn(t *testing.T) {
	var asked atomic.Int64
	end := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1); <-end }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(end) })
	client := &http.Client{Transport: newBoundedUpstream(&http.Transport{}, upstreamTimes{ping: 500 * time.Millisecond, rest: time.Hour})}
	for range 5 {
		if answer, err := client.Get(server.URL + "/v2/"); err == nil {
			answer.Body.Close()
			t.Error("it answered")
		}
	}
	if asked.Load() > 1 {
		t.Errorf("it was asked %d times", asked.Load())
	}
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	answer, err := client.Get(other.URL + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}

// slowly is a transport whose answers take their time, as far as the request lets them. A request that may take longer
// than the time that it was to have in all fails the test.
type slowly struct {
	t       *testing.T
	within  time.Duration
	answers func(r *http.Request) *http.Response
	asked   atomic.Int64
}

func (s *slowly) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked.Add(1)
	if ends, ok := r.Context().Deadline(); !ok || time.Until(ends) > s.within {
		s.t.Errorf("a ping may take until %v", ends)
	}
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-time.After(s.within * 2 / 5):
	}
	answer := s.answers(r)
	answer.Request, answer.Body = r, io.NopCloser(strings.NewReader("{}"))
	return answer, nil
}

// An upstream that answers, but slowly, does not make each client wait for the clients before it, and one that redirects
// has no more time than another.
func TestUpstreamThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 5 * time.Second
		server := &slowly{t: t, within: limit, answers: func(*http.Request) *http.Response {
			return &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {"Basic"}}}
		}}
		client := &http.Client{Transport: &pinger{next: server, limit: limit, rest: time.Second}}
		for range 10 {
			answer, err := client.Get("http://upstream/v2/")
			if err != nil || answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("WWW-Authenticate") != "Basic" {
				t.Fatal(answer, err)
			}
			answer.Header.Del("WWW-Authenticate") // which is of this answer alone
		}
		if n := server.asked.Load(); n != 1 {
			t.Errorf("it was asked %d times", n)
		}
		time.Sleep(2 * time.Second)
		if _, err := client.Get("http://upstream/v2/"); err != nil || server.asked.Load() != 2 {
			t.Errorf("later it was asked %d times, %v", server.asked.Load(), err)
		}

		round := &slowly{t: t, within: limit, answers: func(r *http.Request) *http.Response {
			return &http.Response{StatusCode: http.StatusTemporaryRedirect, Header: http.Header{"Location": {r.URL.String() + "v2/"}}}
		}}
		client.Transport = &pinger{next: round, limit: limit, rest: time.Second}
		begun := time.Now()
		for range 10 {
			if _, err := client.Get("http://upstream/v2/"); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took > limit {
			t.Errorf("it took %v", took)
		}
	})
}

// What is made of the transport that a cache has put in the place of Go's speaks HTTP/2, as Go's does, and so does itself.
func TestBoundedTransportSpeaksHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	var said bytes.Buffer
	before, usual := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()}}, log.Writer()
	log.SetOutput(&said)
	t.Cleanup(func() { log.SetOutput(usual) })
	before.TLSClientConfig.RootCAs.AddCert(server.Certificate())
	bounded := bounding(before, upstreamTimes{answer: time.Minute, stall: time.Minute, ping: time.Minute})
	early := bounded.Clone()
	for what, transport := range map[string]*http.Transport{"itself": bounded, "clone": early, "clone of a clone": early.Clone()} {
		for _, path := range []string{"/", "/v2/"} {
			answer, err := (&http.Client{Transport: transport}).Get(server.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.ProtoMajor != 2 {
				t.Errorf("%s speaks %s", what, answer.Proto)
			}
		}
		transport.CloseIdleConnections()
	}
	answer, err := (&http.Client{Transport: bounded.Clone()}).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.ProtoMajor != 2 || said.Len() > 0 {
		t.Errorf("a clone that is made later speaks %s; said %s", answer.Proto, said.String())
	}
}

// A cache takes from its upstream no larger layers than it is told to take, and unpacks none, whatever encoding they are
// said to be in: zstd takes as much memory as an answer says.
func TestCacheOfTooMuch(t *testing.T) {
	blob := bytes.Repeat([]byte("x"), 1000)
	wanted := fmt.Sprintf("sha256:%x", sha256.Sum256(blob))
	var encoding atomic.Value
	encoding.Store("")
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		if strings.Contains(r.Header.Get("Accept-Encoding"), "zstd") {
			t.Error("zstd is asked for")
		}
		if said := encoding.Load().(string); said != "" && r.Method == http.MethodGet {
			w.Header().Set("Content-Encoding", said)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(blob))
	}))
	t.Cleanup(upstream.Close)
	get := func(o config.Options, method string) (*http.Response, string) {
		o.Proxy.URL = upstream.URL
		cache := serve(t, o)
		answer := cache.do(t, method, "/v2/app/blobs/"+wanted, nil)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Error(err)
		}
		return answer, string(body)
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		answer, body := get(config.Options{Limits: config.Limits{MaxBlobSize: 999}}, method)
		if answer.StatusCode != http.StatusForbidden || method == http.MethodGet && !strings.Contains(body, "the registry takes no layers of more than 999B") {
			t.Errorf("%s: %s %s", method, answer.Status, body)
		}
		if answer, body := get(config.Options{Limits: config.Limits{MaxBlobSize: 1000}}, method); answer.StatusCode != http.StatusOK || method == http.MethodGet && body != string(blob) {
			t.Errorf("%s: %s %s", method, answer.Status, body)
		}
	}
	for _, said := range []string{"zstd", strings.Repeat("zstd,", 1000), "gzip, gzip"} {
		encoding.Store(said)
		if answer, body := get(config.Options{}, http.MethodGet); answer.StatusCode != http.StatusOK || body != string(blob) {
			t.Errorf("%s: %s %s", said, answer.Status, body)
		}
	}
}

// A tag that the upstream does not have costs two requests for it, the second because some do not know the first.
func TestCacheOfAMissingTag(t *testing.T) {
	var asked atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			asked.Add(1)
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
		}
	}))
	t.Cleanup(upstream.Close)
	cache := serve(t, config.Options{Proxy: config.ProxyOptions{URL: upstream.URL}})
	cache.want(t, http.StatusNotFound, cache.do(t, http.MethodGet, "/v2/app/manifests/1", nil))
	if asked.Load() != 2 {
		t.Errorf("the upstream was asked %d times", asked.Load())
	}
	web := httptest.NewServer(http.NotFoundHandler()) // which has no tag either, but is no registry
	t.Cleanup(web.Close)
	cache = serve(t, config.Options{Proxy: config.ProxyOptions{URL: web.URL}})
	cache.want(t, http.StatusServiceUnavailable, cache.do(t, http.MethodGet, "/v2/app/manifests/1", nil))
}

// Where a blob is redirected to, the address has what lets anyone read it: the log has none of that.
func TestCacheLogsNoSignatures(t *testing.T) {
	wanted := "sha256:" + strings.Repeat("a", 64)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodHead:
			w.Header().Set("Content-Length", "7")
		case strings.Contains(r.URL.Path, "/blobs/"):
			http.Redirect(w, r, "http://127.0.0.1:1/layer?X-Signature=private", http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(upstream.Close)
	cache := serve(t, config.Options{Proxy: config.ProxyOptions{URL: upstream.URL}})
	cache.want(t, http.StatusServiceUnavailable, cache.do(t, http.MethodGet, "/v2/app/blobs/"+wanted, nil))
	if err := cache.end(); err != nil {
		t.Error(err)
	}
	if log := cache.log.String(); strings.Contains(log, "private") || !strings.Contains(log, "http://127.0.0.1:1/layer") {
		t.Errorf("log is\n%s", log)
	}
}

// What is not the blob that was asked for never comes whole, as from a web server that answers to any address with 200.
func TestCacheOfAWebServer(t *testing.T) {
	wanted := "sha256:" + strings.Repeat("a", 64)
	for _, size := range []int{0, 1000, heldBackBytes, 3 * heldBackBytes} {
		page := bytes.Repeat([]byte("x"), size)
		upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(page))
		}))
		t.Cleanup(upstream.Close)
		cache := serve(t, config.Options{Proxy: config.ProxyOptions{URL: upstream.URL}})
		answer := cache.do(t, http.MethodGet, "/v2/app/blobs/"+wanted, nil)
		got, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if large := size > heldBackBytes; large && err == nil || !large && answer.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("of %d bytes %d came: %s, %v", size, len(got), answer.Status, err)
		}
	}
}

// The same blob comes whole, also to a second client while the first still gets it, which distribution does not look at.
func TestHeldBack(t *testing.T) {
	for _, size := range []int{0, 1, heldBackBytes, heldBackBytes + 1, 5 * heldBackBytes} {
		blob := bytes.Repeat([]byte("x"), size)
		for _, right := range []bool{true, false} {
			for _, read := range []bool{true, false} {
				a := &upstreamRequest{blob: digest.FromBytes(blob)}
				if !right {
					a.blob = digest.FromString("another")
				}
				a.sent.Store(true)
				client := httptest.NewRecorder()
				held := newHeldBack(client, a)
				var err error
				if read {
					_, err = held.ReadFrom(bytes.NewReader(blob))
				} else {
					for chunk := range slices.Chunk(blob, 1000) {
						_, err = held.Write(chunk)
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				err = held.finish()
				if right && (err != nil || client.Body.Len() != size) || !right && (err == nil || client.Body.Len() != max(0, size-heldBackBytes)) {
					t.Errorf("%d bytes, right %v: %d came, %v", size, right, client.Body.Len(), err)
				}
			}
		}
	}
}

// failingCache gets a blob from its upstream, and cannot keep it.
type failingCache struct {
	distribution.BlobStore
	gets []byte
}

var errFullCache = storagedriver.Error{DriverName: "filesystem", Detail: errors.New("no space left on device")}

func (f failingCache) ServeBlob(ctx context.Context, w http.ResponseWriter, _ *http.Request, _ digest.Digest) error {
	ctx.Value(upstreamRequestKey{}).(*upstreamRequest).sent.Store(true)
	w.Header().Set("Content-Length", strconv.Itoa(len(f.gets)))
	if _, err := w.Write(f.gets); err != nil {
		return err
	}
	return errFullCache
}

type namedRepository struct{ distribution.Repository }

func (namedRepository) Named() reference.Named {
	named, _ := reference.WithName("app")
	return named
}

// A client gets all of a blob that the cache cannot keep, and the log says that it is not kept. What is no blob, or none
// of it, it does not get.
func TestBlobThatCannotBeCached(t *testing.T) {
	for _, size := range []int{0, 1, heldBackBytes, 5 * heldBackBytes} {
		for _, right := range []bool{true, false} {
			blob, log := bytes.Repeat([]byte("x"), size), &bytes.Buffer{}
			d := digest.FromBytes(blob)
			if !right {
				d = digest.FromString("another")
			}
			u := &upstream{url: "http://upstream", log: slog.New(slog.NewTextHandler(log, nil))}
			cache := &upstreamBlobs{BlobStore: failingCache{gets: blob}, upstreamRepository: &upstreamRepository{namedRepository{}, u}}
			client := httptest.NewRecorder()
			err := cache.ServeBlob(t.Context(), client, httptest.NewRequest(http.MethodGet, "/", nil), d)
			whole := right && size > 0
			kept := strings.Contains(log.String(), "cannot be cached") && strings.Contains(log.String(), "no space left on device")
			if whole && (err != nil || !bytes.Equal(client.Body.Bytes(), blob) || client.Header().Get("Content-Length") == "" || !kept) {
				t.Errorf("%d bytes: %d came, %v; log: %s", size, client.Body.Len(), err, log)
			}
			if !whole && (!errors.Is(err, errFullCache) || client.Body.Len() != max(0, size-heldBackBytes) || client.Header().Get("Content-Length") != "") {
				t.Errorf("%d bytes, right %v: %d came, %v", size, right, client.Body.Len(), err)
			}
		}
	}
}

// Nor has it that where the upstream's root is redirected to, nor where one address stands in an error about another.
func TestCacheLogsNoSignaturesOfRedirects(t *testing.T) {
	moved := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/v2/?X-Signature=private", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(moved.Close)
	cache := serve(t, config.Options{Proxy: config.ProxyOptions{URL: moved.URL}})
	cache.want(t, http.StatusServiceUnavailable, cache.do(t, http.MethodGet, "/v2/app/manifests/1", nil))
	if err := cache.end(); err != nil {
		t.Error(err)
	}
	if log := cache.log.String(); strings.Contains(log, "private") || !strings.Contains(log, "http://127.0.0.1:1/v2/") {
		t.Errorf("log is\n%s", log)
	}
	var log strings.Builder
	u := &upstream{url: "http://127.0.0.1:1", log: slog.New(slog.NewTextHandler(&log, nil))}
	inner := &url.Error{Op: "Get", URL: "http://127.0.0.1:1/token?X-Signature=private", Err: io.ErrUnexpectedEOF}
	said := u.explain(t.Context(), "blob", &url.Error{Op: "Get", URL: "http://127.0.0.1:1/layer?X-Signature=private", Err: inner})
	if strings.Contains(log.String()+said.Error(), "private") {
		t.Errorf("log is\n%s\nand the client is told %v", &log, said)
	}
}
