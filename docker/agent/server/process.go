package server

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/mattn/go-shellwords"

	"ndock/docker/agent"
)

// Process is what a tenant may say about the first process, as JSON after a first line of #ndock in the user data.
type Process struct {
	Command    []string          `json:"command"`
	Entrypoint []string          `json:"entrypoint"`
	Env        map[string]string `json:"env"`
	WorkDir    string            `json:"workdir"`
	User       string            `json:"user"`
	TTY        *bool             `json:"tty"`
}

// process finds out what shall run: the user data says, else the image's os_command_line, else the image itself.
func process(spec agent.Spec) (Process, error) {
	raw, err := base64.StdEncoding.DecodeString(spec.UserData)
	if err != nil {
		return Process{}, badRequest("the user data is not base64: %v", err)
	}
	var wanted Process
	text, found, err := forNdock(raw)
	if err != nil {
		return Process{}, unusableImage("the user data begins with %s, but %v", userDataMark, err)
	}
	if found {
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&wanted); err != nil {
			return Process{}, unusableImage("the user data begins with %s, but what follows is not its JSON: %v", userDataMark, err)
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return Process{}, unusableImage("the user data begins with %s, but goes on after its JSON", userDataMark)
		}
	}
	if wanted.Command == nil && spec.OSCommandLine != "" {
		// No shell runs it: what is special to one is a character like others, as it was in nova-docker.
		words := shellwords.NewParser()
		words.SetExcludeSeparators([]rune(";&|<>()`")...)
		if wanted.Command, err = words.Parse(spec.OSCommandLine); err != nil {
			return Process{}, unusableImage("its os_command_line %q: %v", spec.OSCommandLine, err)
		}
	}
	return wanted, nil
}
