package transfer

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const short = 300 * time.Millisecond

func client(timeout time.Duration) *http.Client {
	return &http.Client{Transport: &IdleTransport{Next: http.DefaultTransport, Timeout: timeout}}
}

// serve starts a server that answers with handle. It closes the channel when the test ends, so that handlers return.
func serve(t *testing.T, handle func(w http.ResponseWriter, r *http.Request, stalled <-chan struct{})) string {
	t.Helper()
	stalled := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(w, r, stalled) }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(stalled) })
	return server.URL
}

func wantIdleError(t *testing.T, err error) {
	t.Helper()
	var idle *IdleError
	if !errors.As(err, &idle) || !strings.Contains(err.Error(), "nothing moved between here and 127.0.0.1:") {
		t.Errorf("error %v, want an IdleError", err)
	}
}

// endless is a body that always has more.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestUploadStalls(t *testing.T) {
	t.Parallel()
	url := serve(t, func(_ http.ResponseWriter, r *http.Request, stalled <-chan struct{}) {
		_, _ = r.Body.Read(make([]byte, 1))
		<-stalled
	})
	_, err := client(short).Post(url, "", endless{})
	wantIdleError(t, err)
}

func TestAnswerNeverComes(t *testing.T) {
	t.Parallel()
	url := serve(t, func(_ http.ResponseWriter, r *http.Request, stalled <-chan struct{}) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-stalled
	})
	_, err := client(short).Post(url, "", strings.NewReader("all"))
	wantIdleError(t, err)
}

func TestDownloadStalls(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, _ *http.Request, stalled <-chan struct{}) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		<-stalled
	})
	answer, err := client(short).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if string(got) != "half" {
		t.Errorf("got %q", got)
	}
	wantIdleError(t, err)
}

// TestSlowIsNotIdle: a source that takes longer than the timeout, a transfer that moves slowly and a reader that pauses
// are no reason to end a transfer.
func TestSlowIsNotIdle(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request, _ <-chan struct{}) {
		got, _ := io.ReadAll(r.Body)
		for _, b := range got {
			_, _ = w.Write([]byte{b})
			_ = http.NewResponseController(w).Flush()
			time.Sleep(short / 4)
		}
	})
	from, into := io.Pipe()
	go func() {
		time.Sleep(2 * short)
		_, _ = io.WriteString(into, "slow but steady")
		into.Close()
	}()
	answer, err := client(short).Post(url, "", from)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	time.Sleep(2 * short)
	if got, err := io.ReadAll(answer.Body); err != nil || string(got) != "slow but steady" {
		t.Errorf("got %q, error %v", got, err)
	}
}
