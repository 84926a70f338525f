package serial

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const secret = "5ecre7"

// proxy serves a console, and returns its address, with a token.
func proxy(t *testing.T, serve http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "http:", "ws:", 1) + "/?token=" + secret
}

// console accepts a connection, and has the test speak on it.
func console(t *testing.T, speak func(ctx context.Context, ws *websocket.Conn)) (address string) {
	return proxy(t, func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"binary"}})
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.CloseNow()
		speak(r.Context(), ws)
	})
}

func dial(t *testing.T, address string) *Conn {
	t.Helper()
	conn, err := NewDialer(&http.Transport{}, nil, "test").Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestConn(t *testing.T) {
	t.Parallel()
	conn := dial(t, console(t, func(ctx context.Context, ws *websocket.Conn) {
		if ws.Subprotocol() != "binary" {
			t.Errorf("it speaks %q", ws.Subprotocol())
		}
		_, typed, _ := ws.Read(ctx)
		_ = ws.Write(ctx, websocket.MessageBinary, nil)
		_ = ws.Write(ctx, websocket.MessageBinary, append([]byte("you typed "), typed...))
		_ = ws.Write(ctx, websocket.MessageText, []byte(", bye"))
		_ = ws.Close(websocket.StatusNormalClosure, "")
	}))
	if n, err := conn.Write([]byte("ls\xff")); n != 3 || err != nil {
		t.Error(n, err)
	}
	if got, err := io.ReadAll(conn); string(got) != "you typed ls\xff, bye" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestLost: however the proxy ends a connection, its own words are not told.
func TestLost(t *testing.T) {
	t.Parallel()
	for want, speak := range map[string]func(ctx context.Context, ws *websocket.Conn){
		"the proxy closed it": func(context.Context, *websocket.Conn) {},
		"the proxy closed it with status 1008": func(_ context.Context, ws *websocket.Conn) {
			_ = ws.Close(websocket.StatusPolicyViolation, "\x1b[2Jhostile")
		},
		"the proxy sent a message of more than 1048576 bytes": func(ctx context.Context, ws *websocket.Conn) {
			_ = ws.Write(ctx, websocket.MessageBinary, make([]byte, maxMessage+1))
			_, _, _ = ws.Read(ctx)
		},
	} {
		_, err := io.Copy(io.Discard, dial(t, console(t, speak)))
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestDialFails: the reason is told, and the token is not; not to another host either, and not in the trace.
func TestDialFails(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was asked", r.URL) }))
	t.Cleanup(elsewhere.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	upgraded := func(header string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Sec-WebSocket-Accept", header)
			w.WriteHeader(http.StatusSwitchingProtocols)
		}
	}
	for name, one := range map[string]struct{ address, want string }{
		"gone":      {"ws" + strings.TrimPrefix(gone.URL, "http") + "/?token=" + secret, "connection refused"},
		"not found": {proxy(t, http.NotFound), "it answers 404 Not Found instead of a console"},
		"redirect": {proxy(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/?"+r.URL.RawQuery, http.StatusFound)
		}), "it answers 302 Found"},
		"no websocket": {proxy(t, upgraded("nonsense")), "it does not speak websocket"},
		"long header": {proxy(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", maxHeader))
		}), "server response headers exceeded"},
		"scheme":   {"file:///etc/passwd?token=" + secret, "no address of a console"},
		"ftp":      {"ftp://host/?token=" + secret, `begins with "ftp"`},
		"userinfo": {"ws://" + secret + "@host/", "no address of a console"},
		"no url":   {"ws://[" + secret, "no address of a console"},
	} {
		var trace bytes.Buffer
		_, err := NewDialer(&http.Transport{}, &trace, "test").Dial(t.Context(), one.address)
		if err == nil || !strings.Contains(err.Error(), one.want) {
			t.Errorf("%s: got %v", name, err)
		}
		if strings.Contains(trace.String()+err.Error(), secret) {
			t.Errorf("%s: %v, and the trace is %q", name, err, trace.String())
		}
	}
}

// TestDialEnds with the time that it has.
func TestDialEnds(t *testing.T) {
	t.Parallel()
	address := proxy(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := NewDialer(&http.Transport{}, nil, "test").Dial(ctx, address); err == nil {
		t.Error("got no error")
	}
}

// TestKeepAlive: a proxy that answers keeps the connection, and one that does not loses it.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 10)
	alive := dial(t, proxy(t, func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{OnPingReceived: func(context.Context, []byte) bool {
			asked <- struct{}{}
			return true
		}})
		if err == nil {
			_, _, _ = ws.Read(r.Context())
		}
	}))
	go alive.keepAlive(t.Context(), 300*time.Millisecond)
	go io.Copy(io.Discard, alive)
	for range 3 {
		select {
		case <-asked:
		case <-time.After(20 * time.Second):
			t.Fatal("a proxy that answers is not asked again")
		}
	}
	dead := dial(t, console(t, func(ctx context.Context, _ *websocket.Conn) { <-ctx.Done() }))
	go dead.keepAlive(t.Context(), 50*time.Millisecond)
	if _, err := io.Copy(io.Discard, dead); err == nil {
		t.Error("a proxy that says nothing is waited for")
	}
}

// TestClose ends who reads.
func TestClose(t *testing.T) {
	t.Parallel()
	conn := dial(t, console(t, func(ctx context.Context, _ *websocket.Conn) { <-ctx.Done() }))
	time.AfterFunc(10*time.Millisecond, func() { conn.Close() })
	if _, err := io.Copy(io.Discard, conn); err == nil {
		t.Error("got no error")
	}
}
