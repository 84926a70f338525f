package serve

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ndock/registry"
	"ndock/registry/config"
	"ndock/registry/control"
	"ndock/registry/gc"
	"ndock/registry/internal/pkitest"
	"ndock/registry/internal/registrytest"
)

// A push under way is waited for; nobody may begin one meanwhile, and all may read.
func TestCollectWaitsForPushes(t *testing.T) {
	r, socket := serveWithControl(t)
	body := r.upload(t, 1)
	r.pushBlob(t, "app", []byte("nobody's"))
	_, err := control.Collect(t.Context(), control.Dial(socket), collection(0))
	registrytest.WantError(t, err, "collect garbage: pushes are still under way after 0s (1 requests)")
	if hint := registry.HintOf(err); hint != "try again later, or wait longer with --wait" {
		t.Errorf("hint %q", hint)
	}
	ended := make(chan gc.Result, 1)
	go func() {
		freed, err := control.Collect(t.Context(), control.Dial(socket), collection(time.Minute))
		if err != nil {
			t.Error(err)
		}
		ended <- freed
	}()
	for r.status(t, http.MethodPost, "/v2/app/blobs/uploads/") != http.StatusServiceUnavailable { // until it waits
		time.Sleep(time.Millisecond)
	}
	r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/_catalog", nil))
	_, err = control.Collect(t.Context(), control.Dial(socket), collection(0))
	registrytest.WantError(t, err, "another collection is under way")
	fmt.Fprint(body, "x")
	body.Close()
	if freed := <-ended; freed.Blobs != 1 || freed.Layers != 1 {
		t.Errorf("freed %+v", freed)
	}
	r.pushBlob(t, "app", []byte("nobody's")) // which is not said to be there
}

// Who sends slowly keeps no collection from beginning, and may go on afterwards.
func TestCollectEndsSlowPushes(t *testing.T) {
	pair := pkitest.ServerPair(t, time.Now())
	for _, proto := range []int{1, 2} {
		socket := filepath.Join(t.TempDir(), "control")
		r := serve(t, config.Options{Control: socket, Metrics: "127.0.0.1:0", CertFile: registrytest.Write(t, pair.Cert), KeyFile: registrytest.Write(t, pair.Key)})
		r.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: proto == 2}
		location := r.start(t, "app")
		body, to := io.Pipe()
		defer to.Close()
		go fmt.Fprint(to, "x")
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, location, body)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			answer, err := r.client.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Body.Close()
			if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") != "10" || answer.ProtoMajor != proto {
				t.Errorf("it is answered %s, %v", answer.Status, answer.Header)
			}
		}()
		for r.aside == "" || !strings.Contains(r.want(t, http.StatusOK, r.do(t, http.MethodGet, r.aside+"/metrics", nil)), "received_bytes_total 1\n") {
			time.Sleep(time.Millisecond)
		}
		o := collection(4 * time.Second)
		o.Grace = time.Hour
		if _, err := control.Collect(t.Context(), control.Dial(socket), o); err != nil {
			t.Error(err)
		}
		<-ended
		status := r.do(t, http.MethodGet, location, nil)
		r.want(t, http.StatusNoContent, status)
		r.want(t, http.StatusAccepted, r.stream(t, status.Header.Get("Location"), []byte("y")))
	}
}

// Who asked is gone: all may write again.
func TestCollectIsInterrupted(t *testing.T) {
	r, socket := serveWithControl(t)
	defer r.upload(t, 1).Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := control.Collect(ctx, control.Dial(socket), collection(time.Minute))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	for r.status(t, http.MethodPost, "/v2/app/blobs/uploads/") != http.StatusAccepted {
		time.Sleep(time.Millisecond)
	}
}

func TestClosedGate(t *testing.T) {
	lock := &readOnlyLock{}
	server := httptest.NewServer(lock.wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	defer server.Close()
	if err := lock.lockWriters(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	answer, err := http.Post(server.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var refusal struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&refusal); err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") != "10" ||
		refusal.Errors[0].Code != "UNAVAILABLE" || !strings.HasPrefix(refusal.Errors[0].Message, "the registry collects garbage") {
		t.Errorf("%s, %v, %+v", answer.Status, answer.Header, refusal)
	}
	lock.unlock()
	if answer, err := http.Post(server.URL, "", nil); err != nil || answer.Body.Close() != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("the registry stays read-only: %v", err)
	}
}

func TestControlRefuses(t *testing.T) {
	_, socket := serveWithControl(t)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return control.Dial(socket)(ctx)
	}}}
	defer client.CloseIdleConnections()
	answer, err := client.Post("http://registry"+control.CollectPath, "", strings.NewReader("{"))
	if err != nil || answer.Body.Close() != nil || answer.StatusCode != http.StatusBadRequest {
		t.Errorf("%v, %v", answer, err)
	}
	other := filepath.Join(t.TempDir(), "gone")
	_, err = control.Dial(other)(t.Context())
	registrytest.WantError(t, err, "connect to \""+other+"\": no registry listens there")
}

func collection(wait time.Duration) control.Options {
	return control.Options{Options: gc.Options{Report: registrytest.Silent{}}, Wait: wait}
}

func serveWithControl(t *testing.T) (r *served, socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "control")
	return serve(t, config.Options{Control: socket, Metrics: "127.0.0.1:0"}), socket
}

func (r *served) status(t *testing.T, method, path string) int {
	t.Helper()
	answer := r.do(t, method, path, nil)
	answer.Body.Close()
	return answer.StatusCode
}
