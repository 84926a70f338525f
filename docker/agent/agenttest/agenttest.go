// Package agenttest asks the agent's API in tests, and checks its answers.
package agenttest

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ndock/docker/engine/enginetest"
)

// ServerPath is the path of the server that tests have.
const ServerPath = "/v1/instances/" + enginetest.ServerID

// Quiet is a log that nobody reads.
func Quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Ask sends a request to an agent and returns its status and body.
func Ask(t *testing.T, handler http.Handler, method, path, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

// WantFault checks the status and the code of a refusal.
func WantFault(t *testing.T, status int, body string, wantStatus int, wantCode string) {
	t.Helper()
	if status != wantStatus || !strings.Contains(body, `"code":"`+wantCode+`"`) {
		t.Errorf("got %d %s, want %d with the code %s", status, body, wantStatus, wantCode)
	}
}

// WantOK checks that a request was not refused.
func WantOK(t *testing.T, status int, body string) {
	t.Helper()
	if status != http.StatusOK {
		t.Errorf("got %d %s", status, body)
	}
}

// StateOf is the directory of an engine's servers, the same in the whole of a test.
func StateOf(t *testing.T, docker any) string {
	t.Helper()
	engine, ok := docker.(*enginetest.Engine)
	if !ok {
		return t.TempDir()
	}
	if engine.State == "" {
		engine.State = t.TempDir()
	}
	return engine.State
}

// Tree writes files below a directory of their own, by path.
func Tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, content := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// ImageConfig is the least configuration of an image.
const ImageConfig = `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`

// Tar is a tar of these files, each a name and its content.
func Tar(files ...string) string { return string(enginetest.Tar(files...)) }

// UserData is what Nova passes on of user data that is meant for ndock.
func UserData(json string) string {
	return base64.StdEncoding.EncodeToString([]byte("#ndock\n" + json))
}

// Broken is a body whose sender went away.
type Broken struct{ Err error }

func (b Broken) Read([]byte) (int, error) { return 0, b.Err }
