// Package process finds out what a server shall run: its tenant says so, in the user data or the image's os_command_line.
package process

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/mattn/go-shellwords"

	"ndock/docker/agent"
)

// Process is what a tenant may say about the first process, as JSON in user data whose first line is #ndock.
type Process struct {
	Command    []string          `json:"command"`
	Entrypoint []string          `json:"entrypoint"`
	Env        map[string]string `json:"env"`
	WorkDir    string            `json:"workdir"`
	User       string            `json:"user"`
	TTY        *bool             `json:"tty"`
}

// Of finds out what a server shall run: the user data says, else the image's os_command_line, else the image itself.
func Of(spec agent.Spec) (Process, error) {
	raw, err := base64.StdEncoding.DecodeString(spec.UserData)
	if err != nil {
		return Process{}, agent.Faultf(agent.BadRequest, "the user data is not base64: %v", err)
	}
	var wanted Process
	text, found, err := forNdock(raw)
	if err != nil {
		return Process{}, agent.Faultf(agent.UnusableImage, "the user data begins with %s, but %v", userDataMark, err)
	}
	if found {
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&wanted); err != nil {
			return Process{}, agent.Faultf(agent.UnusableImage, "the user data begins with %s, but what follows is not its JSON: %v", userDataMark, err)
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return Process{}, agent.Faultf(agent.UnusableImage, "the user data begins with %s, but goes on after its JSON", userDataMark)
		}
	}
	if wanted.Command == nil && spec.OSCommandLine != "" {
		// No shell runs it: its special characters have no meaning here, as in nova-docker.
		words := shellwords.NewParser()
		words.SetExcludeSeparators([]rune(";&|<>()`")...)
		if wanted.Command, err = words.Parse(spec.OSCommandLine); err != nil {
			return Process{}, agent.Faultf(agent.UnusableImage, "its os_command_line %q: %v", spec.OSCommandLine, err)
		}
	}
	return wanted, nil
}

// Environment returns the variables of a process, sorted. Where both metadata and the process name a variable, only the
// process's counts: which of two a process takes depends on its C library.
func Environment(metadata, wanted map[string]string) []string {
	variables := map[string]string{}
	maps.Copy(variables, metadata)
	maps.Copy(variables, wanted)
	var all []string
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(variables[name], "\x00") {
			continue // no process could be given it
		}
		all = append(all, fmt.Sprintf("%s=%s", name, variables[name]))
	}
	return all
}
