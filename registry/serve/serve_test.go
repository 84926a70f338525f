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
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"ndock/registry/auth/htpasswd"
	"ndock/registry/client"
	"ndock/registry/config"
	"ndock/registry/gc"
	"ndock/registry/internal/pkitest"
	"ndock/registry/internal/registrytest"
	"ndock/registry/pki"
	"ndock/registry/storage"
)

func TestPushAndPull(t *testing.T) {
	r := serve(t, config.Options{})
	blob := []byte("a layer")
	digest := r.pushBlob(t, "site/app", blob)
	config := []byte("{}")
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":%d,"digest":%q},
		"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":%d,"digest":%q}]}`,
		manifestType, len(config), r.pushBlob(t, "site/app", config), len(blob), digest)
	r.want(t, http.StatusCreated, r.do(t, http.MethodPut, "/v2/site/app/manifests/1", manifest))
	if got := r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/site/app/manifests/1", nil)); got != string(manifest) {
		t.Errorf("pulled manifest %q", got)
	}
	if got := r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/site/app/blobs/"+digest, nil)); got != string(blob) {
		t.Errorf("pulled blob %q", got)
	}
	if got := r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/_catalog?n=500", nil)); !strings.Contains(got, "site/app") {
		t.Errorf("catalog is %s", got)
	}
	r.want(t, http.StatusNotFound, r.do(t, http.MethodGet, "/v2/site/app/manifests/2", nil))
	r.want(t, http.StatusAccepted, r.do(t, http.MethodDelete, "/v2/site/app/blobs/"+digest, nil))
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if log := r.log.String(); strings.Contains(log, "_state") || !strings.Contains(log, "path=/v2/site/app/manifests/1 status=201") {
		t.Errorf("log is\n%s", log)
	}
	if log := r.log.String(); strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
		t.Errorf("ordinary requests alarm the operator:\n%s", log)
	}
}

// A damaged link is as good as none: what was there can be pushed again, and what is beside it deleted.
func TestDamagedLinks(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, config.Options{Data: dir})
	config := r.pushBlob(t, "app", []byte("{}"))
	layer := r.pushBlob(t, "app", []byte("a layer"))
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":%q},
		"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":7,"digest":%q}]}`, manifestType, config, layer)
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(manifest))
	r.want(t, http.StatusCreated, r.do(t, http.MethodPut, "/v2/app/manifests/1", manifest))
	r.want(t, http.StatusCreated, r.do(t, http.MethodPut, "/v2/app/manifests/2", manifest))
	at := filepath.Join(dir, "docker/registry/v2/repositories/app")
	hex := func(digest string) string { return strings.TrimPrefix(digest, "sha256:") }
	for link, path := range map[string]string{
		"_manifests/tags/1/current/link":                       "manifests/1",
		"_manifests/revisions/sha256/" + hex(digest) + "/link": "manifests/" + digest,
		"_layers/sha256/" + hex(layer) + "/link":               "blobs/" + layer,
	} {
		if err := os.Truncate(filepath.Join(at, link), 0); err != nil {
			t.Fatal(err)
		}
		r.want(t, http.StatusNotFound, r.do(t, http.MethodGet, "/v2/app/"+path, nil))
		r.want(t, http.StatusNotFound, r.do(t, http.MethodHead, "/v2/app/"+path, nil))
		r.pushBlob(t, "app", []byte("a layer"))
		r.want(t, http.StatusCreated, r.do(t, http.MethodPut, "/v2/app/manifests/1", manifest))
		r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/app/"+path, nil))
	}
	if err := os.Truncate(filepath.Join(at, "_manifests/tags/1/current/link"), 0); err != nil {
		t.Fatal(err)
	}
	r.want(t, http.StatusAccepted, r.do(t, http.MethodDelete, "/v2/app/manifests/"+digest, nil))
	r.want(t, http.StatusAccepted, r.do(t, http.MethodDelete, "/v2/app/manifests/1", nil))
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if log := r.log.String(); !strings.Contains(log, "a link is damaged and counts as missing") {
		t.Errorf("log is\n%s", log)
	}
}

// A damaged manifest counts as missing, and is mended by a push, also after a delete: with no collection of garbage. A
// storage that fails is not taken for that.
func TestDamagedManifest(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, config.Options{Data: dir})
	config := r.pushBlob(t, "app", []byte("{}"))
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":%q},"layers":[]}`, manifestType, config)
	hex := fmt.Sprintf("%x", sha256.Sum256(manifest))
	file := filepath.Join(dir, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data")
	r.want(t, http.StatusCreated, r.do(t, http.MethodPut, "/v2/app/manifests/1", manifest))
	for what, content := range map[string][]byte{
		"empty": nil, "cut": manifest[:len(manifest)/2], "other": bytes.Replace(manifest, []byte(`"size":2`), []byte(`"size":3`), 1),
		"large": bytes.Repeat([]byte(" "), storage.MaxManifest+1), "no index": []byte(`{"schemaVersion":2,"manifests":5}`),
	} {
		for _, remove := range []string{"", "/v2/app/manifests/1", "/v2/app/manifests/sha256:" + hex} {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"/v2/app/manifests/1", "/v2/app/manifests/sha256:" + hex} {
				r.want(t, http.StatusNotFound, r.do(t, http.MethodGet, path, nil))
				r.want(t, http.StatusNotFound, r.do(t, http.MethodHead, path, nil))
			}
			if remove != "" {
				r.want(t, http.StatusAccepted, r.do(t, http.MethodDelete, remove, nil))
			}
			r.want(t, http.StatusCreated, r.do(t, http.MethodPut, "/v2/app/manifests/1", manifest))
			if got := r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/app/manifests/1", nil)); got != string(manifest) {
				t.Errorf("%s: pulled %.100q", what, got)
			}
		}
	}
	link := filepath.Join(dir, "docker/registry/v2/repositories/app/_manifests/revisions/sha256", hex, "link")
	if err := errors.Join(os.Remove(link), os.Mkdir(link, 0o700)); err != nil { // which cannot be read
		t.Fatal(err)
	}
	r.want(t, http.StatusInternalServerError, r.do(t, http.MethodGet, "/v2/app/manifests/1", nil))
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if log := r.log.String(); !strings.Contains(log, "a manifest is damaged and counts as missing: push the image again, or delete it\" repository=app digest=sha256:"+hex) {
		t.Errorf("log is\n%s", log)
	}
}

// A manifest that no client can read, as another registry may have stored it, counts as missing: it can be deleted, and
// does not hide the others.
func TestStoredManifestThatIsNone(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, config.Options{Data: dir})
	config := r.pushBlob(t, "app", []byte("{}"))
	for _, none := range []string{"", `,"manifests":5,"manifests":null`} {
		manifest := fmt.Appendf(nil, `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":%q},"layers":[]%s}`, config, none)
		d := digest.FromBytes(manifest)
		for path, content := range map[string][]byte{
			gc.BlobFile(d): manifest,
			gc.RootRepositories + "/app/_manifests/revisions/sha256/" + d.Encoded() + "/link": []byte(d),
			gc.RootRepositories + "/app/_manifests/tags/1/current/link":                       []byte(d),
		} {
			file := filepath.Join(dir, path)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, content, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		if none == "" {
			r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/app/manifests/1", nil))
			continue
		}
		r.want(t, http.StatusNotFound, r.do(t, http.MethodGet, "/v2/app/manifests/1", nil))
		found, err := client.Registry{Address: strings.TrimPrefix(r.url, "http://"), PlainHTTP: true}.List(t.Context(), "")
		if err != nil || len(found) != 1 || found[0].Damage == nil {
			t.Errorf("listed are %+v, %v", found, err)
		}
		r.want(t, http.StatusAccepted, r.do(t, http.MethodDelete, "/v2/app/manifests/"+string(d), nil))
	}
}

// A cache gets a damaged manifest again.
func TestDamagedManifestOfACache(t *testing.T) {
	upstream := serve(t, config.Options{})
	blob := upstream.pushBlob(t, "app", []byte("{}"))
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":%q},"layers":[]}`, manifestType, blob)
	hex := fmt.Sprintf("%x", sha256.Sum256(manifest))
	upstream.want(t, http.StatusCreated, upstream.do(t, http.MethodPut, "/v2/app/manifests/1", manifest))
	dir := t.TempDir()
	cache := serve(t, config.Options{Data: dir, Proxy: config.ProxyOptions{URL: upstream.url}})
	cache.want(t, http.StatusOK, cache.do(t, http.MethodGet, "/v2/app/manifests/1", nil))
	layer := upstream.pushBlob(t, "app", make([]byte, storage.MaxManifest+1))
	cache.want(t, http.StatusOK, cache.do(t, http.MethodGet, "/v2/app/blobs/"+layer, nil))
	cache.want(t, http.StatusNotFound, cache.do(t, http.MethodGet, "/v2/app/manifests/"+layer, nil))
	if _, err := os.Stat(filepath.Join(dir, "docker/registry/v2/blobs/sha256", layer[7:9], layer[7:], "data")); err != nil {
		t.Errorf("a layer that was asked for as a manifest: %v", err)
	}
	file := filepath.Join(dir, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data")
	for what, content := range map[string][]byte{
		"empty": nil, "other": bytes.Replace(manifest, []byte(`"size":2`), []byte(`"size":3`), 1), "no index": []byte(`{"schemaVersion":2,"manifests":5}`),
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := cache.want(t, http.StatusOK, cache.do(t, http.MethodGet, "/v2/app/manifests/1", nil)); got != string(manifest) {
			t.Errorf("%s: pulled %.100q", what, got)
		}
		if stored, err := os.ReadFile(file); err != nil || !bytes.Equal(stored, manifest) {
			t.Errorf("%s: %.100q is stored, %v", what, stored, err)
		}
	}
}

func TestLoginIsDemanded(t *testing.T) {
	ci, err := htpasswd.New("ci", "secret")
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, config.Options{Htpasswd: registrytest.Write(t, ci.Line())})
	r.want(t, http.StatusUnauthorized, r.do(t, http.MethodGet, "/v2/", nil))
	r.want(t, http.StatusUnauthorized, r.do(t, http.MethodPost, "/v2/app/blobs/uploads/", nil))
	r.user, r.password = "ci", "wrong"
	r.want(t, http.StatusUnauthorized, r.do(t, http.MethodGet, "/v2/", nil))
	r.password = "secret"
	r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/", nil))
	r.pushBlob(t, "app", []byte("x"))
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if log := r.log.String(); strings.Contains(log, "secret") || strings.Contains(log, "wrong") {
		t.Errorf("the log tells a password:\n%s", log)
	}
}

func TestTLS(t *testing.T) {
	ca, err := pki.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Issue([]string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, config.Options{CertFile: registrytest.Write(t, server.Cert), KeyFile: registrytest.Write(t, server.Key)})
	if !strings.HasPrefix(r.url, "https://") {
		t.Errorf("URL is %s", r.url)
	}
	if _, err := r.client.Get(r.url + "/v2/"); err == nil {
		t.Error("a client that does not know the CA trusts it")
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Cert)
	r.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/", nil))
	old := &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
}

// A request under way when the registry is told to end is answered; one that never ends is cut off.
func TestDrain(t *testing.T) {
	r := serve(t, config.Options{Drain: 20 * time.Second, Metrics: "127.0.0.1:0"})
	body, ended := r.upload(t, 1), make(chan error, 1)
	go func() { ended <- r.end() }()
	r.untilEnding(t)
	fmt.Fprint(body, "x")
	body.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	r = serve(t, config.Options{Drain: 50 * time.Millisecond, Metrics: "127.0.0.1:0"})
	defer r.upload(t, 1).Close()
	registrytest.WantError(t, r.end(), "requests were cut off after 50ms")
}

func TestServeRefuses(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := t.TempDir()
	good := pkitest.ServerPair(t, time.Now())
	for want, o := range map[string]config.Options{
		"listen on " + busy.Addr().String() + ": another program listens there": {Listen: busy.Addr().String(), Data: dir},
		"listen on [fe80::1]:5000: invalid argument":                            {Listen: "[fe80::1]:5000", Data: dir, Insecure: true},
		`data: mkdir`:      {Data: filepath.Join(registrytest.Write(t, nil), "data")},
		"read the logins":  {Data: dir, Htpasswd: filepath.Join(dir, "missing")},
		"does not match":   {Data: dir, CertFile: registrytest.Write(t, good.Cert), KeyFile: registrytest.Write(t, pkitest.ServerPair(t, time.Now()).Key)},
		"read the key":     {Data: dir, CertFile: registrytest.Write(t, good.Cert), KeyFile: filepath.Join(dir, "missing")},
		"is not HOST:PORT": {Listen: "5000", Data: dir},
	} {
		if o.Listen == "" {
			o.Listen = "127.0.0.1:0"
		}
		o.Log = slog.New(slog.DiscardHandler)
		registrytest.WantError(t, Serve(t.Context(), o), want)
	}
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// served is a registry on a port of this host, and a client of it.
type served struct {
	url, aside     string
	client         *http.Client
	user, password string
	log            *bytes.Buffer // to be read when it has ended
	end            func() error
}

func serve(t *testing.T, o config.Options) *served {
	t.Helper()
	r := &served{client: &http.Client{}, log: &bytes.Buffer{}}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	o.Listen, o.Log = "127.0.0.1:0", slog.New(slog.NewTextHandler(r.log, nil))
	if o.Data == "" && !o.Glance.Used {
		o.Data = t.TempDir()
	}
	o.Listening = func(what, url string) {
		if what == "a registry" {
			ready <- url
		} else {
			r.aside = url
		}
	}
	go func() { ended <- Serve(ctx, o) }()
	select {
	case r.url = <-ready:
	case err := <-ended:
		t.Fatalf("the registry ended at once: %v", err)
	}
	r.end = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() { r.end() })
	return r
}

func (r *served) do(t *testing.T, method, path string, body []byte) *http.Response {
	t.Helper()
	if strings.HasPrefix(path, "/") {
		path = r.url + path
	}
	request, err := http.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", manifestType)
	request.Header.Set("Accept", manifestType)
	if r.user != "" {
		request.SetBasicAuth(r.user, r.password)
	}
	answer, err := r.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// want returns the body of an answer that has the status.
func (r *served) want(t *testing.T, status int, answer *http.Response) string {
	t.Helper()
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != status {
		t.Fatalf("%s %s: %s (%v), want %d: %s", answer.Request.Method, answer.Request.URL, answer.Status, err, status, body)
	}
	return string(body)
}

func (r *served) pushBlob(t *testing.T, name string, blob []byte) string {
	t.Helper()
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(blob))
	started := r.do(t, http.MethodPost, "/v2/"+name+"/blobs/uploads/", nil)
	r.want(t, http.StatusAccepted, started)
	r.want(t, http.StatusCreated, r.do(t, http.MethodPut, started.Header.Get("Location")+"&digest="+digest, blob))
	return digest
}

// upload begins a request of which that many bytes are still to come, once a first one has, and returns where to write them.
// It is the first to send any to a registry, which has metrics.
func (r *served) upload(t *testing.T, size int) net.Conn {
	t.Helper()
	started := r.do(t, http.MethodPost, "/v2/app/blobs/uploads/", nil)
	r.want(t, http.StatusAccepted, started)
	r.client.CloseIdleConnections()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	location := strings.TrimPrefix(started.Header.Get("Location"), r.url)
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: registry\r\nContent-Length: %d\r\n\r\nx", location, 1+size)
	r.until(t, "ndock_registry_received_bytes_total 1")
	return conn
}
