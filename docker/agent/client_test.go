package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

// serve answers one status and body to everything, on the socket that it returns.
func serve(t *testing.T, status int, body string) (socket string, asked *[]string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ndock") // a test's own directory may be too long for a socket's address
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "agent.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	asked = &[]string{}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.Method+" "+r.URL.Path)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	return socket, asked
}

func TestClientVersion(t *testing.T) {
	socket, asked := serve(t, 200, `{"agent":"1.0","engine":"20.10.24","api":"1.41"}`)
	got, err := NewClient(socket).Version(t.Context())
	if want := (Version{Agent: "1.0", Engine: "20.10.24", API: "1.41"}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if len(*asked) != 1 || (*asked)[0] != "GET /v1/version" {
		t.Errorf("asked for %q", *asked)
	}
}

func TestClientOrphans(t *testing.T) {
	socket, asked := serve(t, 200, `[{"kind":"container","name":"ndock-u","sure":true}]`)
	got, err := NewClient(socket).Orphans(t.Context())
	if want := []Orphan{{Kind: "container", Name: "ndock-u", Sure: true}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if len(*asked) != 1 || (*asked)[0] != "GET /v1/orphans" {
		t.Errorf("asked for %q", *asked)
	}
}

func TestClientFaults(t *testing.T) {
	for body, want := range map[string]Fault{
		`{"code":"failed","message":"Docker is away"}`: {Code: Failed, Message: "Docker is away"},
		"<html>": {Message: "500 Internal Server Error"},
		"":       {Message: "500 Internal Server Error"},
	} {
		socket, _ := serve(t, 500, body)
		_, err := NewClient(socket).Version(t.Context())
		var got *Fault
		if !errors.As(err, &got) || got.Code != want.Code || err.Error() != want.Message {
			t.Errorf("%q: got %v", body, err)
		}
	}
}

func TestClientWithoutAnAgent(t *testing.T) {
	ended, _ := serve(t, 200, "")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: ended + ".left", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false) // as one that was killed leaves it
	listener.Close()
	slow, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	const away = "ndock's agent does not run: start service ndock-agent; if it ends, its log says why"
	for socket, test := range map[string]struct {
		ctx   context.Context
		cause error
		want  string
	}{
		filepath.Join(t.TempDir(), "none"): {t.Context(), os.ErrNotExist, away},
		ended + ".left":                    {t.Context(), syscall.ECONNREFUSED, away},
		ended:                              {slow, context.DeadlineExceeded, "ndock's agent has not answered in time: see its log"},
		strings.Repeat("long", 100):        {t.Context(), syscall.EINVAL, "ask ndock's agent: dial unix " + strings.Repeat("long", 100) + ": connect: invalid argument"},
	} {
		_, err := NewClient(socket).Orphans(test.ctx)
		if !errors.Is(err, test.cause) || err.Error() != test.want {
			t.Errorf("%s: got %v", socket, err)
		}
	}
	if err := unreached(&url.Error{Op: "Get", URL: "http://agent/", Err: os.ErrPermission}); err.Error() != "only root may ask ndock's agent" {
		t.Errorf("got %v", err)
	}
}

func TestClientOfNonsense(t *testing.T) {
	socket, _ := serve(t, 200, "<html>")
	_, err := NewClient(socket).Version(t.Context())
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		t.Errorf("got %v", err)
	}
}
