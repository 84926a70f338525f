package serve

import (
	"bufio"
	"crypto/sha512"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"ndock/registry/auth/htpasswd"
	"ndock/registry/config"
	"ndock/registry/internal/registrytest"
)

// A browser may ask what it may do without a login, and is told the configured headers, and nothing else.
func TestBrowserAsks(t *testing.T) {
	login, err := htpasswd.New("ci", "secret")
	if err != nil {
		t.Fatal(err)
	}
	const cors = "http: {headers: {Access-Control-Allow-Origin: ['https://ui.example.com'], access-control-allow-methods: [GET, DELETE], X-Content-Type-Options: [nosniff]}}\n"
	file := registrytest.Write(t, []byte("version: 0.1\nstorage: {filesystem: {}, delete: {enabled: true}}\n"+cors))
	r := serve(t, config.Options{Config: file, Htpasswd: registrytest.Write(t, login.Line())})
	asks := func(method, path, body string) *http.Response {
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: registry\r\nOrigin: https://ui.example.com\r\nAccess-Control-Request-Method: DELETE\r\n%s\r\n", method, path, body)
		answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method, URL: &url.URL{Path: path}})
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.Header.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != "https://ui.example.com" {
			t.Errorf("%s %s: Access-Control-Allow-Origin is %q", method, path, got)
		}
		if got := answer.Header.Values("Access-Control-Allow-Methods"); len(got) != 2 {
			t.Errorf("%s %s: Access-Control-Allow-Methods is %q", method, path, got)
		}
		return answer
	}
	r.pushAs(t, "ci", "secret", "app", []byte("a layer"))
	for _, path := range []string{"/v2/", "/v2/_catalog", "/v2/app/manifests/1", "/v2/app/tags/list", "/v2/none/blobs/uploads/", "/v2/" + strings.Repeat("a", 300) + "/tags/list"} {
		answer := asks(http.MethodOptions, path, "Content-Length: 1000000\r\n") // which never comes
		if body := r.want(t, http.StatusNoContent, answer); body != "" || answer.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %s %v", path, body, answer.Header)
		}
	}
	r.want(t, http.StatusUnauthorized, asks(http.MethodGet, "/v2/app/manifests/1", ""))
	r.want(t, http.StatusBadRequest, asks(http.MethodGet, "/v2/"+strings.Repeat("a", 300)+"/manifests/1", ""))
	without := serve(t, config.Options{Htpasswd: registrytest.Write(t, login.Line())})
	without.want(t, http.StatusUnauthorized, without.do(t, http.MethodOptions, "/v2/app/manifests/1", nil))
}

func (r *served) pushAs(t *testing.T, user, password, name string, blob []byte) {
	t.Helper()
	r.user, r.password = user, password
	r.pushBlob(t, name, blob)
	r.user, r.password = "", ""
}

// What no registry can have is the client's fault, and its answer does not say where the registry's storage is.
func TestImpossibleNames(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, config.Options{Data: dir})
	r.pushBlob(t, "app", []byte("a layer"))
	long := strings.Repeat("a", 260)
	for _, request := range []string{
		"GET /v2/" + long + "/manifests/1", "HEAD /v2/" + long + "/blobs/sha256:" + strings.Repeat("a", 64),
		"POST /v2/" + long + "/blobs/uploads/", "PUT /v2/" + long + "/manifests/1", "GET /v2/" + long + "/tags/list",
		"GET /v2/App/manifests/1", "GET /v2/-app/tags/list", "GET /v2/app/tags/list?last=%00", "GET /v2/_catalog?last=%00../x",
		"GET /v2/_catalog?last=" + strings.Repeat("a/", 20000),
	} {
		method, path, _ := strings.Cut(request, " ")
		got := r.want(t, http.StatusBadRequest, r.do(t, method, path, nil))
		if method != http.MethodHead && !strings.Contains(got, `"NAME_INVALID"`) || strings.Contains(got, dir) || len(got) > 500 {
			t.Errorf("%.100s: %s", request, got)
		}
	}
	r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/_catalog?last=aa&n=1", nil))
}

// A part of an upload that does not say which bytes it has is the client's fault, and leaves the upload as it was.
func TestImpossibleRanges(t *testing.T) {
	r := serve(t, config.Options{})
	started := r.do(t, http.MethodPost, "/v2/app/blobs/uploads/", nil)
	r.want(t, http.StatusAccepted, started)
	location := started.Header.Get("Location")
	for _, sent := range []string{"x", "0-", "bytes 0-2/3", "-1-2", "99999999999999999999-1", "7-9"} {
		for _, method := range []string{http.MethodPatch, http.MethodPut} {
			request, err := http.NewRequestWithContext(t.Context(), method, location+"&digest=sha256:"+strings.Repeat("a", 64), strings.NewReader("abc"))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Range", sent)
			answer, err := r.client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.want(t, http.StatusRequestedRangeNotSatisfiable, answer); !strings.Contains(got, "RANGE_INVALID") {
				t.Errorf("%s %s: %s", method, sent, got)
			}
		}
	}
	status := r.do(t, http.MethodGet, location, nil)
	r.want(t, http.StatusNoContent, status)
	if got := status.Header.Get("Range"); got != "0-0" {
		t.Errorf("the upload has %s", got)
	}
}

// Who says nothing of kinds of manifests, or takes any, gets what there is.
func TestAnyManifestIsAccepted(t *testing.T) {
	r := serve(t, config.Options{})
	config := r.pushBlob(t, "app", []byte("{}"))
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":%q},"layers":[]}`, manifestType, config)
	r.want(t, http.StatusCreated, r.do(t, http.MethodPut, "/v2/app/manifests/1", []byte(manifest)))
	r.want(t, http.StatusBadRequest, r.do(t, http.MethodPut, fmt.Sprintf("/v2/app/manifests/sha512:%x", sha512.Sum512([]byte(manifest))), []byte(manifest)))
	for accept, want := range map[string]int{
		"": http.StatusOK, "*/*": http.StatusOK, "text/html, application/*;q=0.8": http.StatusOK, manifestType: http.StatusOK,
		"application/vnd.docker.distribution.manifest.v2+json": http.StatusNotFound, ";;": http.StatusNotFound,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/v2/app/manifests/1", nil)
		if err != nil {
			t.Fatal(err)
		}
		if accept != "" {
			request.Header.Set("Accept", accept)
		}
		answer, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		r.want(t, want, answer)
	}
}

func TestManifestsThatAreNone(t *testing.T) {
	r := serve(t, config.Options{})
	config := r.pushBlob(t, "app", []byte("{}"))
	const index, list = "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"
	const docker = "application/vnd.docker.distribution.manifest.v2+json"
	for _, one := range [][2]string{
		{manifestType, `{}`},
		{manifestType, `null`},
		{manifestType, `[]`},
		{manifestType, `{"schemaVersion":1}`},
		{manifestType, `{"schemaVersion":2}`},
		{manifestType, `{"schemaVersion":2,"config":{"digest":"sha256:zz"}}`},
		{manifestType, `{"schemaVersion":2,"config":{"digest":"sha999:` + strings.Repeat("a", 64) + `"}}`},
		{manifestType, fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q},"layers":[{"digest":"md5:aa"}]}`, config)},
		{index, `{}`},
		{index, `null`},
		{index, `{"schemaVersion":1,"manifests":[]}`},
		{index, `{"schemaVersion":2,"manifests":[{"digest":"sha256:` + strings.Repeat("A", 64) + `"}]}`},
		{manifestType, fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q},"layers":[],"manifests":5,"manifests":null}`, config)},
		{index, `{"schemaVersion":2}`},
		{index, `{"schemaVersion":2,"config":5,"config":null}`},
		{docker, `{"schemaVersion":1,"mediaType":"` + docker + `"}`},
		{list, `{"schemaVersion":3,"mediaType":"` + list + `"}`},
		{"text/plain", `{}`},
		{"", `{}`},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, r.url+"/v2/app/manifests/1", strings.NewReader(one[1]))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", one[0])
		answer, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), `"MANIFEST_INVALID"`) {
			t.Errorf("%s %s: %s %s", one[0], one[1], answer.Status, body)
		}
	}
}

// An index may name images that are not there where the configuration says so, and platforms that it does not tell.
func TestIndexWithoutAllImages(t *testing.T) {
	const index = "application/vnd.oci.image.index.v1+json"
	absent := "sha256:" + strings.Repeat("a", 64)
	for validation, want := range map[string]int{
		"all":  http.StatusBadRequest,
		"none": http.StatusCreated,
		"list, platformlist: [{os: linux, architecture: arm64}]": http.StatusCreated,
		"list, platformlist: [{os: linux, architecture: amd64}]": http.StatusBadRequest,
	} {
		file := "version: 0.1\nstorage: {filesystem: {}}\nvalidation: {manifests: {indexes: {platforms: " + validation + "}}}\n"
		r := serve(t, config.Options{Config: registrytest.Write(t, []byte(file))})
		for _, platform := range []string{`,"platform":{"os":"linux","architecture":"amd64"}`, ""} {
			status := want
			if platform == "" && strings.HasPrefix(validation, "list") {
				status = http.StatusCreated
			}
			body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"size":2,"digest":%q%s}]}`, index, manifestType, absent, platform)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, r.url+"/v2/app/manifests/1", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", index)
			answer, err := r.client.Do(request)
			if err != nil {
				t.Errorf("%s, platform %q: %v", validation, platform, err)
				continue
			}
			r.want(t, status, answer)
		}
	}
}
