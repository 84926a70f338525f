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
	"ndock/docker/engine/enginetest"
)

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
		says   string
	}{
		"no container":        {agent.Faultf(agent.NoSuchInstance, "server %s has no container", enginetest.ServerID), http.StatusNotFound, agent.NoSuchInstance, enginetest.ServerID},
		"unusable image":      {agent.Faultf(agent.UnusableImage, "it is %d", 1), http.StatusUnprocessableEntity, agent.UnusableImage, "it is 1"},
		"bad request":         {agent.Faultf(agent.BadRequest, "no"), http.StatusBadRequest, agent.BadRequest, "no"},
		"no archive":          {fmt.Errorf("load: %w", &archive.Error{Reason: "it is empty"}), http.StatusUnprocessableEntity, agent.UnusableImage, "load: it is empty"},
		"a wrapped fault":     {fmt.Errorf("create: %w", agent.Faultf(agent.BadRequest, "no")), http.StatusBadRequest, agent.BadRequest, "no"},
		"a fault among other": {errors.Join(agent.Faultf(agent.UnusableImage, "first"), errors.New("second")), http.StatusUnprocessableEntity, agent.UnusableImage, "first"},
		"too slow":            {fmt.Errorf("start: %w", context.DeadlineExceeded), http.StatusInternalServerError, agent.Failed, "too long"},
		"docker's not found":  {errdefs.ErrNotFound, http.StatusInternalServerError, agent.Failed, "not found"},
		"any other":           {enginetest.ErrAway, http.StatusInternalServerError, agent.Failed, "docker is away"},
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
