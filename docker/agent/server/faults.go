package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"

	"ndock/docker/agent"
	"ndock/docker/archive"
)

func noSuchInstance(uuid string) error {
	return &agent.Fault{Code: agent.NoSuchInstance, Message: fmt.Sprintf("server %s has no container on this host", uuid)}
}

func unusableImage(format string, args ...any) error {
	return &agent.Fault{Code: agent.UnusableImage, Message: fmt.Sprintf(format, args...)}
}

func unusableFlavor(format string, args ...any) error {
	return &agent.Fault{Code: agent.UnusableFlavor, Message: fmt.Sprintf(format, args...)}
}

func conflict(code, format string, args ...any) error {
	return &agent.Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) error {
	return &agent.Fault{Code: agent.BadRequest, Message: fmt.Sprintf(format, args...)}
}

// tenantsFault tells what Docker refuses because of the image or the command from what this host cannot do.
func tenantsFault(err error) error {
	text := strings.TrimPrefix(err.Error(), "Error response from daemon: ")
	if _, cause, found := strings.Cut(text, "unable to start container process: "); found {
		// Nova keeps 255 characters of a fault: what the runtime says before this is not worth them.
		return unusableImage("its process does not start: %s", strings.TrimSuffix(cause, ": unknown"))
	}
	if errdefs.IsInvalidArgument(err) || strings.Contains(text, "unable to find user") {
		return unusableImage("%s", text)
	}
	return err
}

// fault finds out what to tell the caller.
func fault(err error) *agent.Fault {
	var known *agent.Fault
	var refused *archive.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refused):
		return &agent.Fault{Code: agent.UnusableImage, Message: err.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return &agent.Fault{Code: agent.Failed, Message: "it took too long: " + err.Error()}
	}
	return &agent.Fault{Code: agent.Failed, Message: err.Error()}
}

func writeFault(w http.ResponseWriter, err error) {
	found := fault(err)
	status := http.StatusInternalServerError
	switch found.Code {
	case agent.NoSuchInstance:
		status = http.StatusNotFound
	case agent.UnusableImage, agent.UnusableFlavor:
		status = http.StatusUnprocessableEntity
	case agent.NotRunning, agent.NoTerminal, agent.NoFreePort:
		status = http.StatusConflict
	case agent.BadRequest:
		status = http.StatusBadRequest
	}
	writeJSON(w, status, found)
}
