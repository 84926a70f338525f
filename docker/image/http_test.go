package image

import (
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func newHosts(certsDir string, insecure bool) *http.Client {
	return &http.Client{Transport: &hostTransports{certsDir: certsDir, insecure: insecure, known: map[string]*http.Transport{}, untrusted: map[string]error{}}}
}

func get(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// TestCertificates: a registry's directory is read as Docker reads it, and its CA is trusted for that registry only.
func TestCertificates(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	dir := t.TempDir()
	mine := filepath.Join(dir, strings.TrimPrefix(server.URL, "https://"))
	wants := func(want string) {
		t.Helper()
		if err := get(newHosts(dir, false), server.URL); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	wants("certificate signed by unknown authority")
	client := newHosts(dir, false)
	for _, scheme := range []string{"https", "http"} { // which a library tries next on this host
		if err := get(client, scheme+strings.TrimPrefix(server.URL, "https")); err == nil || !strings.Contains(err.Error(), "unknown authority") {
			t.Errorf("%s: error %v", scheme, err)
		}
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	write(t, filepath.Join(dir, "other:5050", "ca.crt"), ca)
	wants("certificate signed by unknown authority")
	write(t, filepath.Join(mine, "ca.crt"), ca)
	wants("")
	write(t, filepath.Join(mine, "ca.crt"), []byte("no certificate"))
	wants(`there is no certificate in "` + filepath.Join(mine, "ca.crt") + `"`)
	if err := os.Remove(filepath.Join(mine, "ca.crt")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(mine, "client.cert"), nil)
	wants("read the client's certificate")
	if err := get(newHosts(t.TempDir(), true), server.URL); err != nil {
		t.Errorf("insecure: %v", err)
	}
}

// TestPlainHTTP: plain HTTP is used to loopback or where it is allowed, whatever a registry redirects to.
func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.RedirectHandler("http://registry.example/", http.StatusFound))
	defer server.Close()
	err := get(newHosts(t.TempDir(), false), server.URL)
	if err == nil || !strings.Contains(err.Error(), "plain HTTP to registry.example needs --insecure: images and passwords can be read on the way") {
		t.Errorf("error %v", err)
	}
	for address, want := range map[string]bool{
		"127.0.0.1:5000": true, "127.8.8.8:5000": true, "localhost:5000": true, "[::1]:5000": true, "::1": true, "localhost": true,
		"10.0.0.1:5000": false, "localhost.example:5000": false, "": false, "0.0.0.0:5000": false,
	} {
		if got := IsLoopback(address); got != want {
			t.Errorf("%q: %t", address, got)
		}
	}
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWebPageForToken: a web page is not accepted as a token.
func TestWebPageForToken(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v2/") {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>Welcome to the guest network</html>")
	}))
	t.Cleanup(server.Close)
	at := strings.TrimPrefix(server.URL, "http://") + "/site/web:1"
	transports := newTransports(t)
	_, found := transports.Find(t.Context(), Reference{Transport: Registry, Name: at})
	for what, err := range map[string]error{"find": found, "push": pushTo(t, transports, smallImage(t), at)} {
		if err == nil || !strings.Contains(err.Error(), intermediaries) || strings.Contains(err.Error(), "invalid character") {
			t.Errorf("%s: error %v", what, err)
		}
	}
}

// TestDeletionAnsweredWithPage: the body of an answer to a deletion is ignored.
func TestDeletionAnsweredWithPage(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "gone")
	}))
	t.Cleanup(server.Close)
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/site/web:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(ref, newTransports(t).Registry.Remote...); err != nil {
		t.Error(err)
	}
}

// readsAll reports whether this process can read all files, as root can.
func readsAll(t *testing.T) bool {
	t.Helper()
	closed := filepath.Join(t.TempDir(), "closed")
	write(t, closed, nil)
	if err := os.Chmod(closed, 0); err != nil {
		t.Fatal(err)
	}
	_, err := os.ReadFile(closed)
	return err == nil
}

// runAgainWithoutPrivilege runs the test again in a process that cannot read all files, even if started by root.
func runAgainWithoutPrivilege(t *testing.T) {
	t.Helper()
	again := exec.CommandContext(t.Context(), "setpriv", "--bounding-set=-dac_override,-dac_read_search",
		os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	out, err := again.CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		t.Skip("root reads all, and setpriv is not installed")
	case err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Errorf("without privilege: %v\n%s", err, out)
	}
}

// TestCertificatesOfRoot: certificates that only root can read do not keep others from a registry. One notice says
// that they are not used. An unreadable directory gives none, because it may be empty.
func TestCertificatesOfRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 && readsAll(t) {
		runAgainWithoutPrivilege(t)
		return
	}
	host := newRegistry(t, nil)
	for _, file := range []string{"", "ca.crt", "client.cert"} {
		certs := t.TempDir()
		dir := filepath.Join(certs, host)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if file != "" {
			write(t, filepath.Join(dir, file), []byte("root's"))
		}
		if err := os.Chmod(filepath.Join(dir, file), 0); err != nil {
			t.Fatal(err)
		}
		transports := newTransports(t)
		var told []string
		transports.Registry.Remote = Remote("ndock/test", certs, false, 0, func(text string) { told = append(told, text) })
		if err := pushTo(t, transports, smallImage(t), host+"/site/web:1"); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if file == "" && len(told) != 0 || file != "" && (len(told) != 1 || !strings.Contains(told[0], file+": permission denied")) {
			t.Errorf("%s: told %q", file, told)
		}
	}
}

// TestCaptivePortal: a web page is not accepted as a manifest.
func TestCaptivePortal(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/login") {
			http.Redirect(w, r, "/login", http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<html>Welcome to the guest network</html>")
	}))
	t.Cleanup(server.Close)
	at := strings.TrimPrefix(server.URL, "http://") + "/site/web:1"
	transports := newTransports(t)
	_, found := transports.Find(t.Context(), Reference{Transport: Registry, Name: at})
	repository, err := name.NewRepository(strings.TrimSuffix(at, ":1"))
	if err != nil {
		t.Fatal(err)
	}
	_, listed := remote.List(repository, transports.Registry.Remote...)
	for what, err := range map[string]error{"find": found, "list": listed, "push": pushTo(t, transports, smallImage(t), at)} {
		if err == nil || !strings.Contains(err.Error(), intermediaries) || strings.Contains(err.Error(), "invalid character") {
			t.Errorf("%s: error %v", what, err)
		}
	}
}
