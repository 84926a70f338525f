package serve

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"

	"ndock/registry/config"
	"ndock/registry/storage"
)

// manifestsOf serves manifests of the sizes that their tags say.
func manifestsOf(t *testing.T, l *limits) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(l.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, err := strconv.Atoi(parseRoute("", r.URL.Path).reference)
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		if r.Method != http.MethodHead {
			io.WriteString(w, strings.Repeat("x", size)) // as distribution does, without a status
		}
	})))
	t.Cleanup(server.Close)
	return server
}

func asked(t *testing.T, method, url string) (*http.Response, int64) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	n, err := io.Copy(io.Discard, answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, n
}

// While clients take as much of manifests as they may, no more is begun to be sent. Small ones have room of their own.
func TestManifestAnswers(t *testing.T) {
	l := &limits{answers: newManifestAnswers(time.Millisecond)}
	server := manifestsOf(t, l)
	leave, err := l.answers.room.large.Enter(t.Context(), "127.0.0.1", maxAnswerBytesOfNetwork)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/v2/app/manifests/" + strconv.Itoa(storage.MaxManifest), http.StatusServiceUnavailable},
		{http.MethodGet, "/v2/app/referrers/" + strconv.Itoa(storage.MaxManifest), http.StatusServiceUnavailable},
		{http.MethodHead, "/v2/app/manifests/" + strconv.Itoa(storage.MaxManifest), http.StatusOK},
		{http.MethodGet, "/v2/app/manifests/100", http.StatusOK},
		{http.MethodGet, "/v2/app/manifests/none", http.StatusNotFound},
		{http.MethodGet, "/v2/app/blobs/" + strconv.Itoa(storage.MaxManifest), http.StatusOK},
	} {
		answer, n := asked(t, c.method, server.URL+c.path)
		if refused := c.status == http.StatusServiceUnavailable; answer.StatusCode != c.status || refused && (answer.Header.Get("Retry-After") == "" || n > 1000) {
			t.Errorf("%s %s: %s, %d bytes", c.method, c.path, answer.Status, n)
		}
	}
	leave()
	if answer, n := asked(t, http.MethodGet, server.URL+"/v2/app/manifests/"+strconv.Itoa(storage.MaxManifest)); answer.StatusCode != http.StatusOK || n != storage.MaxManifest {
		t.Errorf("when there is room: %s, %d bytes", answer.Status, n)
	}
	server.Close() // no request is under way any more
	for what, all := range map[string]func() (func(), error){
		"reads": func() (func(), error) { return l.answers.reads.Enter(t.Context(), "127.0.0.1", maxReadsOfNetwork) },
		"large": func() (func(), error) {
			return l.answers.room.large.Enter(t.Context(), "127.0.0.1", maxAnswerBytesOfNetwork)
		},
		"small": func() (func(), error) {
			return l.answers.room.small.Enter(t.Context(), "127.0.0.1", maxSmallAnswerBytesOfNetwork)
		},
	} {
		if _, err := all(); err != nil {
			t.Errorf("%s are not given back", what)
		}
	}
}

// Only so many manifests are read at a time, whatever then becomes of them.
func TestManifestReads(t *testing.T) {
	l := &limits{answers: newManifestAnswers(time.Millisecond)}
	server := manifestsOf(t, l)
	if _, err := l.answers.reads.Enter(t.Context(), "127.0.0.1", maxReadsOfNetwork); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		if answer, _ := asked(t, method, server.URL+"/v2/app/manifests/1"); answer.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %s", method, answer.Status)
		}
	}
}

// Who waits for Glance or for an upstream keeps nobody from reading.
func TestReadsThatWaitForOthers(t *testing.T) {
	for name, c := range map[string]struct {
		glance, cache, bounded bool
	}{"a storage of its own": {bounded: true}, "Glance": {glance: true}, "a cache": {cache: true}} {
		var o config.Options
		configured := &configuration.Configuration{}
		o.Glance.Used = c.glance
		if c.cache {
			configured.Proxy.RemoteURL = "https://registry.example"
		}
		if l := newLimits(o, configured, inGlance{}, &projectNames{}); (l.answers.reads != nil) != c.bounded {
			t.Errorf("%s: reads are bounded: %t", name, l.answers.reads != nil)
		}
	}
}
