package metrics_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent/metrics"
	"ndock/docker/engine/enginetest"
)

// serveOn serves an agent's metrics at an address until the test ends.
func serveOn(t *testing.T, m *metrics.Metrics, address string) {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); m.Serve(ctx, address) }()
	t.Cleanup(func() { end(); <-ended })
}

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// get asks until it is answered, in a connection of its own.
func get(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		answer, err := client.Get(url)
		if err == nil {
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err == nil && answer.StatusCode == http.StatusOK {
				return string(body)
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("no answer: ", err)
		}
	}
}

func TestServe(t *testing.T) {
	address := freeAddress(t)
	serveOn(t, newMetrics(t, busyEngine(), time.Time{}), address)
	if got := get(t, "http://"+address+"/metrics"); !strings.Contains(got, "\nndock_engine_up 1\n") {
		t.Errorf("got %s", got)
	}
	if got := get(t, "http://"+address+"/healthz"); got != "ok\n" {
		t.Errorf("got %s", got)
	}
}

// TestAnAddressThatIsTaken is served as soon as it is free: no server depends on metrics.
func TestAnAddressThatIsTaken(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := &lines{}
	serveOn(t, newMetricsWith(t, enginetest.New(), time.Time{}, slog.New(slog.NewTextHandler(log, nil))), listener.Addr().String())
	for !log.has("metrics are not served") {
		time.Sleep(time.Millisecond)
	}
	listener.Close()
	get(t, "http://"+listener.Addr().String()+"/healthz")
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// TestClientsThatHoldConnections, because they do not read, or ask for nothing, are rid of before Prometheus has missed much.
func TestClientsThatHoldConnections(t *testing.T) {
	docker := enginetest.New()
	docker.Stats = stats
	for n := range 1000 {
		put(docker, uuidOf(n), strings.Repeat("name", 32), container.StateRunning)
	}
	for name, asks := range map[string]int{"do not read": 8, "ask for nothing": 0} { // what buffers hold is no answer that stands still
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := freeAddress(t)
			serveOn(t, newMetrics(t, docker, time.Time{}), address)
			get(t, "http://"+address+"/healthz")
			for range 20 {
				hold(t, address, asks)
			}
			if answer, err := http.Get("http://" + address + "/healthz"); err == nil {
				answer.Body.Close()
				t.Error("one client has as many connections as it likes")
			}
			get(t, "http://"+address+"/metrics")
		})
	}
}

// hold opens a connection, asks so many times, and reads nothing.
func hold(t *testing.T, address string, asks int) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return // refused at once
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(4096) // it may be refused by now
	for range asks {
		fmt.Fprintf(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
	}
}
