package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"ndock/docker/agent"
	"ndock/docker/archive"
)

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
		says   string
	}{
		"no container":        {noSuchInstance(serverID), http.StatusNotFound, agent.NoSuchInstance, serverID},
		"unusable image":      {unusableImage("it is %d", 1), http.StatusUnprocessableEntity, agent.UnusableImage, "it is 1"},
		"bad request":         {badRequest("no"), http.StatusBadRequest, agent.BadRequest, "no"},
		"no archive":          {fmt.Errorf("load: %w", &archive.Error{Reason: "it is empty"}), http.StatusUnprocessableEntity, agent.UnusableImage, "load: it is empty"},
		"a wrapped fault":     {fmt.Errorf("create: %w", badRequest("no")), http.StatusBadRequest, agent.BadRequest, "no"},
		"a fault among other": {errors.Join(unusableImage("first"), errors.New("second")), http.StatusUnprocessableEntity, agent.UnusableImage, "first"},
		"too slow":            {fmt.Errorf("start: %w", context.DeadlineExceeded), http.StatusInternalServerError, agent.Failed, "too long"},
		"docker's not found":  {errdefs.ErrNotFound, http.StatusInternalServerError, agent.Failed, "not found"},
		"any other":           {errAway, http.StatusInternalServerError, agent.Failed, "docker is away"},
	} {
		w := httptest.NewRecorder()
		writeFault(w, c.err)
		var got agent.Fault
		if err := json.NewDecoder(w.Body).Decode(&got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if w.Code != c.status || got.Code != c.code || !strings.Contains(got.Message, c.says) {
			t.Errorf("%s: got %d %+v", name, w.Code, got)
		}
		if kind := w.Header().Get("Content-Type"); kind != "application/json" {
			t.Errorf("%s: got type %q", name, kind)
		}
	}
}

func TestTenantsFault(t *testing.T) {
	for text, want := range map[string]string{
		"Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime create failed: " +
			`runc create failed: unable to start container process: exec: "nginxx": executable file not found in $PATH: unknown`: `its process does not start: exec: "nginxx": executable file not found in $PATH`,
		"Error response from daemon: unable to find user nobodyy: no matching entries in passwd file": "unable to find user nobodyy: no matching entries in passwd file",
		"Error response from daemon: no space left on device":                                         "",
		"Cannot connect to the Docker daemon":                                                         "",
	} {
		err := errors.New(text)
		got := tenantsFault(err)
		if want == "" {
			if got != err {
				t.Errorf("%s: got %v, want it unchanged", text, got)
			}
			continue
		}
		if fault(got).Code != agent.UnusableImage || got.Error() != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
	if got := tenantsFault(fmt.Errorf("invalid reference: %w", errdefs.ErrInvalidArgument)); fault(got).Code != agent.UnusableImage {
		t.Errorf("got %v for what Docker calls invalid", got)
	}
}
