package serve

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ndock/registry/config"
	"ndock/registry/internal/registrytest"
)

// What users of other registries have reported, and is right here.

// Behind a proxy that ends TLS a push goes on where the client knows the registry.
func TestLocationBehindAProxy(t *testing.T) {
	for _, test := range []struct{ configuration, host, scheme, forwarded, want string }{
		{"", "registry.example.com", "https", "", "https://registry.example.com/v2/app/blobs/uploads/"},
		{"", "registry.example.com:8443", "https", "", "https://registry.example.com:8443/v2/app/blobs/uploads/"},
		{"", "127.0.0.1:5000", "https", "registry.example.com:8443", "https://registry.example.com:8443/v2/app/blobs/uploads/"},
		{"http: {relativeurls: true}", "127.0.0.1:5000", "", "", "/v2/app/blobs/uploads/"},
		{"http: {host: 'https://registry.example.com:86'}", "127.0.0.1:5000", "", "", "https://registry.example.com:86/v2/app/blobs/uploads/"},
	} {
		r := serve(t, config.Options{Config: registrytest.Write(t, []byte("version: 0.1\nstorage: {filesystem: {}}\n"+test.configuration+"\n"))})
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v2/app/blobs/uploads/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = test.host
		if test.scheme != "" {
			request.Header.Set("X-Forwarded-Proto", test.scheme)
		}
		if test.forwarded != "" {
			request.Header.Set("X-Forwarded-Host", test.forwarded)
		}
		answer, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		r.want(t, http.StatusAccepted, answer)
		if got := answer.Header.Get("Location"); !strings.HasPrefix(got, test.want) {
			t.Errorf("%+v: Location is %s", test, got)
		}
	}
}

// A download that broke off goes on where it was, also by a range without an end.
func TestRanges(t *testing.T) {
	r := serve(t, config.Options{})
	blob := r.pushBlob(t, "app", []byte("0123456789"))
	for asked, want := range map[string]string{"bytes=3-": "3456789", "bytes=-3": "789", "bytes=2-4": "234"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/v2/app/blobs/"+blob, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Range", asked)
		answer, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.want(t, http.StatusPartialContent, answer); got != want {
			t.Errorf("%s: %q, want %q", asked, got, want)
		}
	}
}

// An image stays when its tag goes to another; its tags go when it is deleted by its digest; pages of tags have links.
func TestTagsAndDigests(t *testing.T) {
	r := serve(t, config.Options{})
	config := r.pushBlob(t, "app", []byte("{}"))
	manifest := func(more string) (content []byte, digest string) {
		content = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":%q},"layers":[]%s}`, manifestType, config, more)
		return content, fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	}
	old, oldDigest := manifest("")
	now, nowDigest := manifest(`,"annotations":{"a":"b"}`)
	early, _ := manifest(`,"subject":{"mediaType":"` + manifestType + `","size":7,"digest":"sha256:` + strings.Repeat("b", 64) + `"}`)
	for _, tag := range []string{"1", "2", "3"} {
		r.want(t, http.StatusCreated, r.do(t, http.MethodPut, "/v2/app/manifests/"+tag, old))
	}
	r.want(t, http.StatusCreated, r.do(t, http.MethodPut, "/v2/app/manifests/2", now))
	r.want(t, http.StatusCreated, r.do(t, http.MethodPut, "/v2/app/manifests/signature", early)) // before what it is about
	r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/app/manifests/"+oldDigest, nil))
	page := r.do(t, http.MethodGet, "/v2/app/tags/list?n=2", nil)
	if got := r.want(t, http.StatusOK, page); !strings.Contains(got, `["1","2"]`) || page.Header.Get("Link") != `</v2/app/tags/list?last=2&n=2>; rel="next"` {
		t.Errorf("page is %s, and links to %s", got, page.Header.Get("Link"))
	}
	r.want(t, http.StatusAccepted, r.do(t, http.MethodDelete, "/v2/app/manifests/"+oldDigest, nil))
	if got := r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/app/tags/list", nil)); !strings.Contains(got, `["2","signature"]`) {
		t.Errorf("tags are %s", got)
	}
	r.want(t, http.StatusAccepted, r.do(t, http.MethodDelete, "/v2/app/manifests/"+nowDigest, nil))
	r.want(t, http.StatusAccepted, r.do(t, http.MethodDelete, "/v2/app/manifests/signature", nil))
	if got := r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/app/tags/list", nil)); !strings.Contains(got, `[]`) {
		t.Errorf("tags are %s", got)
	}
}

// A blob may be called by its sha512, and be empty.
func TestUnusualBlobs(t *testing.T) {
	r := serve(t, config.Options{})
	for digest, blob := range map[string]string{
		fmt.Sprintf("sha512:%x", sha512.Sum512([]byte("a layer"))): "a layer",
		fmt.Sprintf("sha256:%x", sha256.Sum256(nil)):               "",
	} {
		started := r.do(t, http.MethodPost, "/v2/app/blobs/uploads/", nil)
		r.want(t, http.StatusAccepted, started)
		r.want(t, http.StatusCreated, r.do(t, http.MethodPut, started.Header.Get("Location")+"&digest="+digest, []byte(blob)))
		if got := r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/app/blobs/"+digest, nil)); got != blob {
			t.Errorf("%s is %q", digest, got)
		}
	}
}

// A cache keeps nothing that its upstream sent in part, or that is something else; nor does it need a header that proxies
// take away.
func TestCacheOfABrokenUpstream(t *testing.T) {
	upstream := newFakeUpstream(t)
	dir := t.TempDir()
	cache := serve(t, config.Options{Data: dir, Proxy: config.ProxyOptions{URL: upstream.URL}})
	blob := filepath.Join(dir, "docker/registry/v2/blobs/sha256", upstream.layer[7:9], upstream.layer[7:], "data")
	for _, instead := range []string{"a lay", "another", ""} {
		upstream.instead.Store(&instead)
		answer := cache.do(t, http.MethodGet, "/v2/ok/blobs/"+upstream.layer, nil)
		answer.Body.Close()
		if _, err := os.Stat(blob); err == nil {
			t.Errorf("%q is kept for a layer", instead)
		}
	}
	upstream.instead.Store(nil)
	if got := cache.want(t, http.StatusOK, cache.do(t, http.MethodGet, "/v2/ok/blobs/"+upstream.layer, nil)); got != "a layer" {
		t.Errorf("the layer is %q", got)
	}
	upstream.silent.Store(true)
	cache.want(t, http.StatusOK, cache.do(t, http.MethodGet, "/v2/ok/manifests/1", nil))
}
