package server

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-shellwords"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

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

// userDataMark is the first line of user data that is meant for ndock; all other is the guest's own business.
const userDataMark = "#ndock"

// userDataLimit bounds what gzip makes of user data. Nova takes 64 KiB in base64.
const userDataLimit = 1 << 20

// userDataText returns user data as text in UTF-8 that begins with its first line that is not blank. Editors and tools of
// Windows write a byte order mark or UTF-16, and tools made for cloud-init pack with gzip. The error says why gzip gave less
// than all: whether it matters depends on what the text begins with.
func userDataText(raw []byte) (string, error) {
	raw, damage := unpackUserData(raw)
	decoder := unicode.BOMOverride(transform.Nop)
	switch { // UTF-16 without a byte order mark: no text in UTF-8 has such a byte
	case len(raw) > 1 && raw[0] == 0:
		decoder = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewDecoder()
	case len(raw) > 1 && raw[1] == 0:
		decoder = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder()
	}
	text, _, err := transform.Bytes(decoder, raw)
	return strings.TrimSpace(string(text)), errors.Join(damage, err)
}

// unpackUserData returns what is not gzip as it is, and of gzip as much as can be read, up to the limit.
func unpackUserData(raw []byte) ([]byte, error) {
	packed, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return raw, nil
	}
	text, err := io.ReadAll(io.LimitReader(packed, userDataLimit+1))
	if err == nil && len(text) > userDataLimit {
		err = fmt.Errorf("it holds more than %d bytes", userDataLimit)
	}
	return text, err
}

// process finds out what shall run: the user data says, else the image's os_command_line, else the image itself.
func process(spec agent.Spec) (Process, error) {
	raw, err := base64.StdEncoding.DecodeString(spec.UserData)
	if err != nil {
		return Process{}, badRequest("the user data is not base64: %v", err)
	}
	var wanted Process
	text, damage := userDataText(raw)
	if mark, rest, _ := strings.Cut(text, "\n"); strings.TrimSpace(mark) == userDataMark {
		if damage != nil {
			return Process{}, unusableImage("the user data begins with %s, but cannot be unpacked: %v", userDataMark, damage)
		}
		decoder := json.NewDecoder(strings.NewReader(rest))
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
