package serve

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"ndock/registry/config"
)

func TestMetricsAndHealth(t *testing.T) {
	data := t.TempDir()
	r := serve(t, config.Options{Data: data, Metrics: "127.0.0.1:0"})
	r.pushBlob(t, "app", []byte("12345"))
	r.want(t, http.StatusOK, r.do(t, "PROPFIND", "/v2/", nil))
	r.until(t, `ndock_registry_received_bytes_total 5`)
	r.until(t, `ndock_registry_request_duration_seconds_count{method="POST",status="202"} 1`)
	r.until(t, `ndock_registry_request_duration_seconds_count{method="other",status="200"} 1`)
	all := r.want(t, http.StatusOK, r.do(t, http.MethodGet, r.aside+"/metrics", nil))
	for _, name := range []string{"go_goroutines", "registry_storage_action_seconds_bucket"} {
		if !strings.Contains(all, name) {
			t.Errorf("there is no %s", name)
		}
	}
	r.want(t, http.StatusOK, r.do(t, http.MethodGet, r.aside+"/healthz", nil))
	for _, path := range []string{"/metrics", "/healthz"} {
		r.want(t, http.StatusNotFound, r.do(t, http.MethodGet, path, nil))
	}
	os.RemoveAll(data)
	if err := os.WriteFile(data, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := r.want(t, http.StatusServiceUnavailable, r.do(t, http.MethodGet, r.aside+"/healthz", nil)); !strings.HasPrefix(got, "the storage: write: ") {
		t.Errorf("health is %q", got)
	}
}

// Who asks for its health learns at once that a registry is ending, while uploads go on.
func TestHealthWhileDraining(t *testing.T) {
	r := serve(t, config.Options{Metrics: "127.0.0.1:0"})
	body, ended := r.upload(t, 1), make(chan error, 1)
	r.until(t, "ndock_registry_uploads 1")
	go func() { ended <- r.end() }()
	r.untilEnding(t)
	body.Write([]byte("x"))
	body.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// untilEnding waits until who asks for the registry's health learns that it is ending.
func (r *served) untilEnding(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); r.status(t, http.MethodGet, r.aside+"/healthz") != http.StatusServiceUnavailable; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is healthy while it ends")
		}
	}
}
