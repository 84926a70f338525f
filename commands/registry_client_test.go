package commands

import (
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A registry's directory is read as Docker reads it, and there alone is a CA trusted.
func TestRegistryTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	address, dir := strings.TrimPrefix(server.URL, "https://"), t.TempDir()
	ask := func() error {
		transport, err := registryTransport(address, plainNowhere, dir)
		if err != nil {
			return err
		}
		answer, err := (&http.Client{Transport: transport}).Get(server.URL)
		if err == nil {
			err = answer.Body.Close()
		}
		return err
	}
	if err := ask(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a stranger is trusted: %v", err)
	}
	ca := filepath.Join(dir, address, "ca.crt")
	writeFile(t, ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	if err := ask(); err != nil {
		t.Error(err)
	}
	writeFile(t, ca, []byte("no certificate"))
	if err := ask(); err == nil || !strings.Contains(err.Error(), "there is no certificate in \""+ca+"\"") {
		t.Errorf("error %v", err)
	}
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, address, "client.cert"), nil)
	if err := ask(); err == nil || !strings.Contains(err.Error(), "read the client's certificate") {
		t.Errorf("error %v", err)
	}
}

func TestRegistryTLSHasNoPattern(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "[::1]:5050", "ca.crt"), nil)
	writeFile(t, filepath.Join(dir, "1:5050", "ca.crt"), nil)
	_, err := registryTLS(filepath.Join(dir, "[::1]:5050"))
	if err == nil || !strings.Contains(err.Error(), "[::1]:5050") {
		t.Errorf("error %v", err)
	}
	if config, err := registryTLS(filepath.Join(dir, "other:5050")); err != nil || config.MinVersion != tls.VersionTLS12 {
		t.Error(err)
	}
}

// Plain HTTP goes to this host, or to where it was allowed, whatever a registry says in between.
func TestGuard(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("http://registry.example/", http.StatusFound))
	defer server.Close()
	for _, one := range []struct {
		plain plainHTTP
		want  string
	}{
		{plainNowhere, "plain HTTP to " + strings.TrimPrefix(server.URL, "http://") + " is not spoken without --insecure"},
		{plainHere, "plain HTTP to registry.example is not spoken without --insecure"},
	} {
		client := &http.Client{Transport: &guard{plain: one.plain, next: http.DefaultTransport}}
		_, err := client.Get(server.URL)
		if err == nil || !strings.Contains(err.Error(), one.want) {
			t.Errorf("error %v, want one with %q", err, one.want)
		}
	}
	for address, want := range map[string]bool{
		"127.0.0.1:5000": true, "127.8.8.8:5000": true, "localhost:5000": true, "[::1]:5000": true, "::1": true, "localhost": true,
		"10.0.0.1:5000": false, "localhost.example:5000": false, "": false, "0.0.0.0:5000": false,
	} {
		if got := plainHere.allowed(address); got != want {
			t.Errorf("%q: %t", address, got)
		}
		if plainNowhere.allowed(address) || !plainAnywhere.allowed(address) {
			t.Errorf("%q", address)
		}
	}
}

func writeFile(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
