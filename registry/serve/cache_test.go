package serve

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"ndock/registry/auth/htpasswd"
	"ndock/registry/auth/keystone"
	"ndock/registry/config"
	"ndock/registry/internal/registrytest"
)

// A pull-through cache gives what its upstream has, goes on with what it has got when that is away, also from a start
// on, and takes nothing itself.
func TestCache(t *testing.T) {
	login, err := htpasswd.New("ci", "secret")
	if err != nil {
		t.Fatal(err)
	}
	upstream := serve(t, config.Options{Htpasswd: registrytest.Write(t, login.Line())})
	upstream.user, upstream.password = "ci", "secret"
	cached, other := upstream.pushBlob(t, "app", []byte("cached")), upstream.pushBlob(t, "app", []byte("other"))
	o := config.Options{Data: t.TempDir(), Proxy: config.ProxyOptions{URL: upstream.url, User: "ci", PasswordFile: registrytest.Write(t, []byte("secret\n")), Public: true}}

	cache := serve(t, o)
	pull := func(r *served, status int, digest string) string {
		t.Helper()
		return r.want(t, status, r.do(t, http.MethodGet, "/v2/app/blobs/"+digest, nil))
	}
	pull(cache, http.StatusOK, cached)
	cache.want(t, http.StatusMethodNotAllowed, cache.do(t, http.MethodPost, "/v2/app/blobs/uploads/", nil))
	upstream.end()
	pull(cache, http.StatusOK, cached)
	if err := cache.end(); err != nil {
		t.Error(err)
	}

	again := serve(t, o)
	pull(again, http.StatusOK, cached)
	if got := pull(again, http.StatusServiceUnavailable, other); !strings.Contains(got, upstream.url+" does not give this to the cache now") {
		t.Errorf("says %s", got)
	}
	again.want(t, http.StatusMethodNotAllowed, again.do(t, http.MethodPost, "/v2/app/blobs/uploads/", nil))
	if err := again.end(); err != nil {
		t.Error(err)
	}
}

// A layer that its upstream calls an encoding of something else, asked or not, is what its digest says.
func TestCacheOfAnEncodedLayer(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte("a layer")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(b.Bytes()))
	for _, encoding := range []string{"gzip", "x-gzip"} {
		upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/blobs/") {
				io.WriteString(w, "{}")
				return
			}
			if encoding == "x-gzip" || strings.Contains(r.Header.Get("Accept-Encoding"), encoding) {
				w.Header().Set("Content-Encoding", encoding)
			}
			w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
			w.Write(b.Bytes())
		}))
		t.Cleanup(upstream.Close)
		cache := serve(t, config.Options{Proxy: config.ProxyOptions{URL: upstream.URL}})
		if got := cache.want(t, http.StatusOK, cache.do(t, http.MethodGet, "/v2/app/blobs/"+digest, nil)); got != b.String() {
			t.Errorf("%s: got %d bytes of %d", encoding, len(got), b.Len())
		}
	}
}

// A cache says why its upstream does not give something, to its client and in its log.
func TestCacheSaysWhatTheUpstreamSays(t *testing.T) {
	upstream := newFakeUpstream(t)
	cache := serve(t, config.Options{Proxy: config.ProxyOptions{URL: upstream.URL}})
	digest := "sha256:" + strings.Repeat("a", 64)
	for repository, want := range map[string]struct {
		status int
		says   string
	}{
		"404": {http.StatusNotFound, ""},
		"401": {http.StatusForbidden, "DENIED"},
		"403": {http.StatusForbidden, "refuses this to the cache, or does not have it: denied: upstream says 403"},
		"429": {http.StatusTooManyRequests, "takes no more requests of this cache for now: toomanyrequests: upstream says 429"},
		"500": {http.StatusServiceUnavailable, "500 Internal Server Error"},
		"503": {http.StatusServiceUnavailable, "503 Service Unavailable"},
		"418": {http.StatusServiceUnavailable, "upstream says 418"},
	} {
		for _, path := range []string{"/manifests/1", "/manifests/" + digest, "/blobs/" + digest} {
			got := cache.want(t, want.status, cache.do(t, http.MethodGet, "/v2/"+repository+path, nil))
			hasText := !strings.HasPrefix(path, "/blobs/") // of a blob, the upstream's HEAD is asked
			if hasText && !strings.Contains(got, want.says) || len(got) > 1000 {
				t.Errorf("%s%s: %s, want %s", repository, path, got, want.says)
			}
		}
	}
	upstream.Close()
	for _, path := range []string{"/manifests/1", "/manifests/" + digest, "/blobs/" + digest} {
		got := cache.want(t, http.StatusServiceUnavailable, cache.do(t, http.MethodGet, "/v2/app"+path, nil))
		if !strings.Contains(got, upstream.URL+" does not give this to the cache now, try again later: ") || strings.Contains(got, "dial tcp") {
			t.Errorf("%s: %s", path, got)
		}
	}
	if err := cache.end(); err != nil {
		t.Error(err)
	}
	log := cache.log.String()
	if !strings.Contains(log, `level=WARN msg="the upstream did not give what was asked for" upstream=`+upstream.URL+" asked=429:1 error=\"toomanyrequests: upstream says 429") {
		t.Errorf("log is\n%s", log)
	}
	if strings.Contains(log, "asked=404") || strings.Contains(log, strings.Repeat("x", 400)) {
		t.Errorf("the log says too much:\n%s", log)
	}
}

// An upstream that answers without end does not fill the memory, wherever it does; a large blob comes all the same.
func TestCacheOfAnEndlessUpstream(t *testing.T) {
	large := make([]byte, 3*maxUpstreamAnswer)
	blob := fmt.Sprintf("sha256:%x", sha256.Sum256(large))
	var endless atomic.Value // what is
	var sent atomic.Int64
	never := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			return
		}
		for chunk := bytes.Repeat([]byte(" "), 1<<20); ; {
			n, err := w.Write(chunk)
			if sent.Add(int64(n)) > 10*maxUpstreamAnswer || err != nil {
				return
			}
		}
	}
	var upstream *httptest.Server
	upstream = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what := endless.Load()
		_, authorized := r.Header["Authorization"]
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Query().Has("scope") && what == "token":
			never(w, r)
		case r.URL.Query().Has("scope"):
			fmt.Fprint(w, `{"token":"t"}`)
		case r.URL.Path == "/away":
			never(w, r)
		case r.URL.Path == "/large":
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(large))
		case !authorized:
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+upstream.URL+`/v2/app/blobs/`+blob+`",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/v2/":
		case strings.Contains(r.URL.Path, "/manifests/") && what == "redirected":
			http.Redirect(w, r, "/away", http.StatusTemporaryRedirect)
		case strings.Contains(r.URL.Path, "/blobs/") && what == "error" && r.Method == http.MethodGet:
			w.WriteHeader(http.StatusTeapot)
			never(w, r)
		case strings.HasSuffix(r.URL.Path, "/blobs/"+blob):
			http.Redirect(w, r, "/large", http.StatusTemporaryRedirect)
		default:
			w.Header().Set("Content-Type", manifestType)
			never(w, r)
		}
	}))
	t.Cleanup(upstream.Close)
	for what, path := range map[string]string{
		"manifest": "/manifests/" + blob, "tagged": "/manifests/1", "redirected": "/manifests/" + blob, "list": "/tags/list",
		"token": "/blobs/" + blob, "error": "/blobs/" + blob,
	} {
		endless.Store(what)
		sent.Store(0)
		cache := serve(t, config.Options{Proxy: config.ProxyOptions{URL: upstream.URL}})
		answer := cache.do(t, http.MethodGet, "/v2/app"+path, nil)
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK || sent.Load() > 5*maxUpstreamAnswer {
			t.Errorf("%s: %s, and the upstream sent %d MiB", what, answer.Status, sent.Load()>>20)
		}
	}
	endless.Store("")
	cache := serve(t, config.Options{Proxy: config.ProxyOptions{URL: upstream.URL}})
	if got := cache.want(t, http.StatusOK, cache.do(t, http.MethodGet, "/v2/app/blobs/"+blob, nil)); len(got) != len(large) {
		t.Errorf("%d bytes of %d came", len(got), len(large))
	}
}

// A list whose pages have no end ends all the same, and a page without tags is the last one.
func TestCacheOfAnEndlessList(t *testing.T) {
	var pages atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if !strings.HasSuffix(r.URL.Path, "/tags/list") {
			return
		}
		if pages.Add(1) < 20_000 {
			w.Header().Set("Link", `</v2/app/tags/list?n=1>; rel="next"`)
		}
		fmt.Fprint(w, `{"name":"app","tags":[]}`)
	}))
	t.Cleanup(upstream.Close)
	cache := serve(t, config.Options{Proxy: config.ProxyOptions{URL: upstream.URL}})
	answer := cache.do(t, http.MethodGet, "/v2/app/tags/list", nil)
	answer.Body.Close()
	if pages.Load() > maxUpstreamAnswer/minUpstreamAnswer {
		t.Errorf("%d pages were read", pages.Load())
	}
	pages.Store(0)
	cache.want(t, http.StatusOK, cache.do(t, http.MethodGet, "/v2/app/tags/list?n=1", nil))
}

// What two repositories have stays as long as one of them needs it, and all while the upstream is away.
func TestCacheExpires(t *testing.T) {
	upstream := newFakeUpstream(t)
	dir := t.TempDir()
	file := fmt.Appendf(nil, "version: 0.1\nstorage: {filesystem: {rootdirectory: %q}}\nproxy: {remoteurl: %q, ttl: 1h}\n", dir, upstream.URL)
	cache := serve(t, config.Options{Config: registrytest.Write(t, file), Data: dir})
	pull := func(status int, repository string) {
		t.Helper()
		for _, path := range []string{"/manifests/1", "/blobs/" + upstream.layer, "/blobs/" + upstream.config} {
			cache.want(t, status, cache.do(t, http.MethodGet, "/v2/"+repository+path, nil))
		}
	}
	pull(http.StatusOK, "ok/one")
	age(t, dir, 2*time.Hour)
	pull(http.StatusOK, "ok/two")
	age(t, filepath.Join(dir, "docker/registry/v2/repositories/ok/one"), time.Hour)
	_, c, err := config.Options{Config: registrytest.Write(t, file)}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	e := &cacheExpiry{ttl: time.Hour, config: c, log: slog.New(slog.DiscardHandler)}
	e.run(t.Context())
	upstream.away.Store(true)
	pull(http.StatusOK, "ok/two")
	pull(http.StatusServiceUnavailable, "ok/one")
	age(t, dir, 2*time.Hour)
	e.run(t.Context())
	pull(http.StatusOK, "ok/two")
}

// What is pulled from a cache stays, also while its upstream refuses it; and all stays while that refuses to be asked.
func TestCacheOfAnUpstreamThatRefuses(t *testing.T) {
	upstream := newFakeUpstream(t)
	dir := t.TempDir()
	file := fmt.Appendf(nil, "version: 0.1\nstorage: {filesystem: {rootdirectory: %q}}\nproxy: {remoteurl: %q, ttl: 1h}\n", dir, upstream.URL)
	cache := serve(t, config.Options{Config: registrytest.Write(t, file), Data: dir})
	pull := func(repository string) {
		t.Helper()
		for _, path := range []string{"/manifests/1", "/blobs/" + upstream.layer} {
			cache.want(t, http.StatusOK, cache.do(t, http.MethodGet, "/v2/"+repository+path, nil))
		}
	}
	pull("ok/pulled")
	pull("ok/other")
	_, c, err := config.Options{Config: registrytest.Write(t, file)}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	e := &cacheExpiry{ttl: time.Hour, config: c, log: slog.New(slog.DiscardHandler)}
	for _, status := range []int64{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests} {
		upstream.refusesAll.Store(status)
		age(t, dir, 2*time.Hour)
		e.run(t.Context())
		pull("ok/other")
		upstream.refusesAll.Store(0)
		upstream.refuses.Store(status)
		age(t, dir, 2*time.Hour)
		pull("ok/pulled")
		pull("ok/other")
		e.run(t.Context())
		pull("ok/pulled")
		upstream.refuses.Store(0)
	}
}

// A cache looks by itself for what is too old.
func TestCacheExpiresByItself(t *testing.T) {
	upstream := newFakeUpstream(t)
	dir := t.TempDir()
	file := fmt.Appendf(nil, "version: 0.1\nstorage: {filesystem: {rootdirectory: %q}}\nproxy: {remoteurl: %q, ttl: 500ms}\n", dir, upstream.URL)
	cache := serve(t, config.Options{Config: registrytest.Write(t, file), Data: dir})
	there := func() bool {
		_, err := os.Stat(filepath.Join(dir, "docker/registry/v2/blobs/sha256", upstream.layer[7:9], upstream.layer[7:], "data"))
		return !errors.Is(err, fs.ErrNotExist)
	}
	for !there() { // which is after the client has it
		cache.want(t, http.StatusOK, cache.do(t, http.MethodGet, "/v2/ok/blobs/"+upstream.layer, nil))
	}
	for there() {
		time.Sleep(time.Millisecond)
	}
}

// age makes all files in a directory older.
func age(t *testing.T, dir string, by time.Duration) {
	t.Helper()
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		then := info.ModTime().Add(-by)
		return os.Chtimes(file, then, then)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fakeUpstream is a registry that has one image in all repositories whose names begin with ok, and answers with an
// error whose status is the name of other repositories.
type fakeUpstream struct {
	*httptest.Server
	away, silent  atomic.Bool            // silent: it does not say the digest of what it gives
	refuses       atomic.Int64           // the status of all that is not /v2/
	refusesAll    atomic.Int64           // the status of all
	instead       atomic.Pointer[string] // of the layer, with the layer's size
	layer, config string
}

func newFakeUpstream(t *testing.T) *fakeUpstream {
	t.Helper()
	layer, config := []byte("a layer"), []byte("{}")
	sum := func(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }
	u := &fakeUpstream{layer: sum(layer), config: sum(config)}
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":%q},
		"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":7,"digest":%q}]}`, manifestType, u.config, u.layer)
	give := func(w http.ResponseWriter, mediaType string, content []byte) {
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		if !u.silent.Load() {
			w.Header().Set("Docker-Content-Digest", sum(content))
		}
		w.Write(content)
	}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/")
		code, err := strconv.Atoi(first)
		switch {
		case u.away.Load():
			w.WriteHeader(http.StatusBadGateway)
		case u.refusesAll.Load() != 0:
			w.WriteHeader(int(u.refusesAll.Load()))
		case r.URL.Path == "/v2/":
			give(w, "application/json", []byte("{}"))
		case u.refuses.Load() != 0:
			w.WriteHeader(int(u.refuses.Load()))
		case err == nil:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			name := map[int]string{404: "MANIFEST_UNKNOWN", 401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS"}[code]
			fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"upstream says %d %s"}]}`, name, code, strings.Repeat("x", 100_000))
		case strings.Contains(r.URL.Path, "/manifests/"):
			give(w, manifestType, manifest)
		case strings.HasSuffix(r.URL.Path, u.layer) && r.Method == http.MethodGet && u.instead.Load() != nil:
			w.Header().Set("Content-Length", strconv.Itoa(len(layer)))
			io.WriteString(w, *u.instead.Load())
		case strings.HasSuffix(r.URL.Path, u.layer):
			give(w, "application/octet-stream", layer)
		case strings.HasSuffix(r.URL.Path, u.config):
			give(w, "application/octet-stream", config)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(u.Close)
	return u
}

// A cache that has a login at its upstream gives nothing of it to anyone, unless that is said.
func TestCacheWithLoginNeedsLogins(t *testing.T) {
	login, err := htpasswd.New("ann", "own")
	if err != nil {
		t.Fatal(err)
	}
	proxy := config.ProxyOptions{URL: "http://127.0.0.1:1", User: "ci", PasswordFile: registrytest.Write(t, []byte("secret\n"))}
	const refusal = "this cache has a login at http://127.0.0.1:1, and would give to anyone what only that may read there"
	for _, o := range []config.Options{
		{Proxy: proxy},
		{Proxy: proxy, Keystone: keystone.Options{URL: "http://127.0.0.1:1/v3", Read: keystone.ReadAnyone}},
		{Config: registrytest.Write(t, []byte("version: 0.1\nstorage: {filesystem: {}}\nproxy: {remoteurl: http://127.0.0.1:1, username: ci, password: secret}\n"))},
	} {
		o.Listen, o.Data, o.Log = "127.0.0.1:0", t.TempDir(), slog.New(slog.DiscardHandler)
		registrytest.WantError(t, Serve(t.Context(), o), refusal)
	}
	r := serve(t, config.Options{Proxy: proxy, Htpasswd: registrytest.Write(t, login.Line())})
	r.want(t, http.StatusUnauthorized, r.do(t, http.MethodGet, "/v2/", nil))
	r.user, r.password = "ann", "own"
	r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/", nil))
}

func TestCacheRefusesALoginInItsConfiguration(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yml")
	text := "version: 0.1\nstorage: {filesystem: {rootdirectory: " + dir + "}}\nhttp: {addr: 127.0.0.1:0}\nproxy: {remoteurl: 'https://ci:secret@registry.example.com'}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Serve(ctx, config.Options{Config: file, Log: slog.New(slog.DiscardHandler)})
	registrytest.WantError(t, err, "proxy.remoteurl has a login in it")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error has the password: %v", err)
	}
}

func TestCacheRefuses(t *testing.T) {
	for want, o := range map[string]config.ProxyOptions{
		"--proxy is missing":                                {User: "ci"},
		"--proxy-user and --proxy-password-file":            {URL: "http://127.0.0.1:1", User: "ci"},
		"--proxy is not a URL":                              {URL: "registry.example.com"},
		"--proxy has a login in it":                         {URL: "https://ci:secret@registry.example.com"},
		"read the upstream's password: open /nowhere: no s": {URL: "http://127.0.0.1:1", User: "ci", PasswordFile: "/nowhere"},
	} {
		registrytest.WantError(t, Serve(t.Context(), config.Options{
			Listen: "127.0.0.1:0", Data: filepath.Join(t.TempDir(), "data"), Proxy: o, Log: slog.New(slog.DiscardHandler),
		}), want)
	}
}

// A manifest of an upstream that is none is an error that clients are told, also once the cache has it.
func TestCacheOfAManifestThatIsNone(t *testing.T) {
	manifest := `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"` + string(digest.FromString("{}")) + `"},"layers":[],"manifests":5,"manifests":null}`
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			w.Header().Set("Content-Type", manifestType)
			w.Header().Set("Docker-Content-Digest", string(digest.FromString(manifest)))
			fmt.Fprint(w, manifest)
		}
	}))
	t.Cleanup(upstream.Close)
	cache := serve(t, config.Options{Data: t.TempDir(), Proxy: config.ProxyOptions{URL: upstream.URL}})
	cache.want(t, http.StatusOK, cache.do(t, http.MethodGet, "/v2/app/manifests/1", nil))
	got := cache.want(t, http.StatusServiceUnavailable, cache.do(t, http.MethodGet, "/v2/app/manifests/1", nil))
	if !strings.Contains(got, "the manifest is none") {
		t.Errorf("says %s", got)
	}
}
