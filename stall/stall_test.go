package stall

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

func client(limit time.Duration) *http.Client {
	return &http.Client{Transport: &Transport{Next: http.DefaultTransport, Limit: limit}}
}

// serve answers with handle; stalled is closed when the test ends, so that handlers do.
func serve(t *testing.T, handle func(w http.ResponseWriter, r *http.Request, stalled <-chan struct{})) string {
	t.Helper()
	stalled := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(w, r, stalled) }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(stalled) })
	return server.URL
}

func wantStall(t *testing.T, err error) {
	t.Helper()
	var stalled *Error
	if !errors.As(err, &stalled) || !strings.Contains(err.Error(), "nothing moved between here and 127.0.0.1:") {
		t.Errorf("error %v, want a stall", err)
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
	wantStall(t, err)
}

func TestAnswerNeverComes(t *testing.T) {
	t.Parallel()
	url := serve(t, func(_ http.ResponseWriter, r *http.Request, stalled <-chan struct{}) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-stalled
	})
	_, err := client(short).Post(url, "", strings.NewReader("all"))
	wantStall(t, err)
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
	wantStall(t, err)
}

// TestSlowIsNoStall: neither a source that takes longer than the limit, nor a transfer that moves and does, nor a
// reader that rests.
func TestSlowIsNoStall(t *testing.T) {
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
