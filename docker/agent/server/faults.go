package server

import (
	"context"
	"errors"
	"net/http"

	"ndock/docker/agent"
	"ndock/docker/archive"
)

// fault returns what to tell the caller.
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
	case agent.UnusableImage, agent.UnusableFlavor, agent.UnusablePort:
		status = http.StatusUnprocessableEntity
	case agent.NotRunning, agent.NoTerminal, agent.NoFreePort, agent.LayersLeftOut:
		status = http.StatusConflict
	case agent.BadRequest:
		status = http.StatusBadRequest
	}
	writeJSON(w, status, found)
}
