package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
	if cause, found := runtimesCause(text); found {
		return startFault(cause)
	}
	if slices.ContainsFunc(hostsTexts, func(begin string) bool { return strings.HasPrefix(text, begin) }) {
		return err
	}
	if errdefs.IsInvalidArgument(err) || strings.Contains(text, "unable to find user") {
		return unusableImage("%s", text)
	}
	return err
}

// runtimesCause is what runc says of a process that does not start. Nova keeps 255 characters of a fault: what stands before
// it is not worth them.
func runtimesCause(text string) (cause string, found bool) {
	for _, before := range []string{"unable to start container process: ", "starting container process caused: "} { // the latter by runc 1.0
		if _, cause, found = strings.Cut(text, before); found {
			cause = strings.TrimPrefix(strings.TrimSuffix(cause, ": unknown"), "error during container init: ")
			return cause, true
		}
	}
	return "", false
}

// hostsTexts are how Docker begins to say what is invalid on this host alone, though it calls it so everywhere.
var hostsTexts = []string{
	"unknown or invalid runtime name", "Unknown runtime specified", "NanoCPUs can not be set", "Range of CPUs", "Requested CPUs",
	"Requested memory nodes", "Your kernel does not support", `invalid mount config for type "bind": bind source path does not exist`,
	"AppArmor enabled on system but", "--storage-opt is supported only for overlay over xfs",
}

// hostsWords are in causes that lie in the host.
var hostsWords = []string{
	"error running hook", "error running createRuntime hook", "cgroup", "session key", "apparmor", "selinux", "seccomp",
	"no space left on device", "disk quota exceeded", "too many open files", "cannot allocate memory", "resource temporarily unavailable",
	"setns process", "nsexec", "final child's", "/proc/sys/",
}

// startFault tells whose fault a cause is: runc says the same before what is wrong with an image, a flavor and a host. What
// begins with exec or chdir has the tenant's own words, whatever they are.
func startFault(cause string) error {
	word := func(word string) bool { return strings.Contains(cause, word) }
	switch {
	case strings.HasPrefix(cause, "exec"), strings.HasPrefix(cause, "chdir to cwd"):
	case word("OOM-killed"):
		return unusableFlavor("the flavor has too little memory for its process to start: %s", cause)
	case slices.ContainsFunc(hostsWords, word):
		if _, ours, found := strings.Cut(cause, "stderr: ndock: "); found {
			line, _, _ := strings.Cut(ours, "\n")
			return fmt.Errorf("plug it in: %s", line)
		}
		return fmt.Errorf("its process does not start: %s", cause)
	}
	return unusableImage("its process does not start: %s", cause)
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
